"""Colours and fonts of charts, light and dark: the `config` of a Vega-Lite specification."""

from __future__ import annotations

from typing import Any

from ..errors import BadInput, did_you_mean
from .scale import FONT

Spec = dict[str, Any]

THEMES: dict[str, dict[str, Any]] = {
    "light": {
        "ground": "#ffffff",
        "ink": "#1c2330",
        "soft": "#5b6472",
        "grid": "#e3e7ed",
        "series": ["#1f63c6", "#d9571c", "#1b8f5a", "#7d4cc2", "#c22f6d", "#97730a", "#1690a7", "#6b7280"],
    },
    "dark": {
        "ground": "#12161d",
        "ink": "#e8ecf2",
        "soft": "#a3adbb",
        "grid": "#2a313c",
        "series": ["#6ea8ff", "#ff9a62", "#58cf98", "#b794f6", "#f57fb0", "#e0bb4d", "#58c8de", "#aab2bf"],
    },
}


def config(theme: str) -> Spec:
    """The Vega-Lite `config` of a theme, "light" or "dark": every colour and font of a chart."""
    if theme not in THEMES:
        raise BadInput(f"unknown theme {theme!r}{did_you_mean(theme, THEMES) or '; known: light, dark'}")
    of = THEMES[theme]
    return {
        "background": of["ground"],
        "font": "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
        "padding": 16,
        "view": {"stroke": None},
        "title": {"anchor": "start", "frame": "group", "fontSize": 16, "fontWeight": 600, "offset": 12, "color": of["ink"]},
        "axis": {
            "labelColor": of["soft"],
            "labelFontSize": 11.5,
            "labelPadding": 5,
            "titleColor": of["ink"],
            "titleFontSize": 12.5,
            "titleFontWeight": 500,
            "titlePadding": 10,
            "gridColor": of["grid"],
            "domainColor": of["soft"],
            "tickColor": of["soft"],
            "tickSize": 4,
        },
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "labelColor": of["ink"],
            "labelFontSize": 12,
            "labelLimit": 260,
            "symbolStrokeWidth": 2.2,
            "columnPadding": 18,
            "offset": 10,
            "padding": 0,
        },
        "range": {"category": of["series"]},
        "style": {
            "label": {"color": of["ink"], "fontSize": FONT, "fontWeight": 500},
            "halo": {
                "color": of["ground"],
                "stroke": of["ground"],
                "strokeWidth": 4,
                "strokeJoin": "round",
                "fontSize": FONT,
                "fontWeight": 500,
            },
            "rule-mark": {"color": of["soft"], "strokeWidth": 1.2, "strokeDash": [2, 3]},
            "spot": {"color": of["ink"]},
            "ring": {"color": of["ink"], "strokeWidth": 1.8},
        },
    }


def themed(spec: Spec, theme: str) -> Spec:
    """The same chart in another theme."""
    return spec | {"config": config(theme)}
