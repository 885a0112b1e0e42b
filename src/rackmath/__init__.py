"""rackmath: latency, throughput, memory and cost of large language models, from first principles."""

__version__ = "0.1.0"
