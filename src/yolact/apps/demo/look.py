"""How the page looks: the system's own fonts, so that nothing is fetched, and what Gradio's theme leaves open."""

from gradio.themes import Base, Font
from gradio.themes.utils import sizes

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def theme() -> Base:
    fonts = [Font(name) for name in SANS]
    return Base(
        primary_hue="sky",
        secondary_hue="sky",
        neutral_hue="slate",
        radius_size=sizes.radius_md,
        font=fonts,
        font_mono=[Font(name) for name in MONO],
    ).set(
        body_background_fill="#f6f7f9",
        body_background_fill_dark="#0f1318",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171d24",
        background_fill_primary_dark="#171d24",
        background_fill_secondary_dark="#11161c",
        block_border_color="#e3e7ec",
        block_border_color_dark="#28313b",
        border_color_primary_dark="#28313b",
        block_shadow="none",
        block_info_text_color="#5b6673",
        block_info_text_color_dark="#a3afbc",
        body_text_color_subdued="#5b6673",
        body_text_color_subdued_dark="#a3afbc",
        color_accent="#0072b2",
        button_primary_background_fill="#0072b2",
        button_primary_background_fill_dark="#0072b2",
        button_primary_background_fill_hover="#005a8d",
        button_primary_background_fill_hover_dark="#005a8d",
        slider_color="#0072b2",
        slider_color_dark="#56b4e9",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#1d252e",
        button_secondary_border_color="#d5dbe2",
        button_secondary_border_color_dark="#33404d",
    )


CSS = """
:root { --yo-adds: #c24d00; --yo-takes: #0072b2; --yo-line: #d5dbe2; --yo-soft: #5b6673; --yo-tile: #ffffff; }
.dark { --yo-adds: #ff9a57; --yo-takes: #6fc3f2; --yo-line: #33404d; --yo-soft: #a3afbc; --yo-tile: #1d252e; }
.dark { --color-accent: #56b4e9; }
.gradio-container { max-width: none !important; padding: 0 !important; }
.gradio-container .main.app { padding: 0 !important; }
.gradio-container main { max-width: 1200px !important; margin: 0 auto !important; padding: 28px 20px 48px !important; }
footer { display: none !important; }
#yo-head h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; font-weight: 650; }
#yo-head p { color: var(--yo-soft); max-width: 66ch; margin: 0; line-height: 1.5; }
.yo-hint { color: var(--yo-soft); font-size: 0.92rem; line-height: 1.45; margin: 0; }
#yo-desk { display: grid; grid-template-columns: minmax(260px, 310px) minmax(0, 1fr); gap: 16px; align-items: start;
  grid-template-areas: "drop result" "controls result" "panel panel"; grid-template-rows: auto 1fr auto; }
#yo-drop { grid-area: drop; } #yo-result { grid-area: result; } #yo-controls { grid-area: controls; }
#yo-panel { grid-area: panel; }
#yo-drop, #yo-result, #yo-controls, #yo-panel { min-width: 0 !important; }
#yo-picture img, #yo-other img { cursor: pointer; }
.yo-examples { display: grid; grid-template-columns: repeat(5, 1fr); gap: 6px; }
.yo-examples button, .yo-grid button, .yo-part button { padding: 0; border: 0; background: none; cursor: pointer; }
.yo-examples img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 6px; display: block; }
.yo-examples button:hover img { opacity: 0.8; }
.yo-chips { display: flex; flex-wrap: wrap; gap: 6px; }
.yo-chip { display: inline-flex; align-items: center; gap: 7px; padding: 6px 11px; border: 1px solid var(--yo-line);
  border-radius: 999px; background: var(--yo-tile); color: inherit; font-size: 0.9rem; cursor: pointer; }
.yo-chip small { color: var(--yo-soft); font-variant-numeric: tabular-nums; }
.yo-chip:hover, .yo-chip.chosen { border-color: currentColor; }
.yo-chip.chosen { box-shadow: inset 0 0 0 1px currentColor; }
.yo-swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; flex: none; }
.yo-title { display: flex; align-items: center; gap: 9px; font-size: 1.1rem; margin-bottom: 10px; flex-wrap: wrap; }
.yo-key { margin-left: auto; display: inline-flex; gap: 14px; font-size: 0.85rem; color: var(--yo-soft); }
.yo-key span::before { content: ""; display: inline-block; width: 14px; height: 4px; border-radius: 2px;
  margin-right: 6px; vertical-align: middle; background: var(--yo-adds); }
.yo-key .takes::before { background: var(--yo-takes); }
.yo-sum { display: grid; grid-template-columns: repeat(9, minmax(0, 1fr)); gap: 12px 4px; }
.yo-part { display: flex; align-items: flex-start; gap: 3px; min-width: 0; }
.yo-part > i { font-style: normal; font-weight: 600; width: 13px; flex: none; text-align: center;
  color: var(--yo-soft); align-self: flex-start; padding-top: 22%; }
.yo-part figure, .yo-part .yo-term { margin: 0; flex: 1; min-width: 0; }
.yo-part img, .yo-grid img { width: 100%; display: block; border-radius: 5px; }
.yo-part span, .yo-grid span { display: block; font-size: 0.8rem; line-height: 1.3; margin-top: 4px; text-align: center;
  color: var(--yo-soft); font-variant-numeric: tabular-nums; }
.yo-term { border-radius: 6px; color: inherit; }
.yo-term img { border-bottom: 4px solid transparent; box-sizing: border-box; }
.yo-term.adds img { border-bottom-color: var(--yo-adds); } .yo-term.takes img { border-bottom-color: var(--yo-takes); }
.yo-term.adds b { color: var(--yo-adds); } .yo-term.takes b { color: var(--yo-takes); }
.yo-term.chosen { outline: 2px solid currentColor; outline-offset: 3px; }
.yo-term:hover img { opacity: 0.85; }
.yo-grid { display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); gap: 12px 10px; padding: 3px; }
#yo-downloads { gap: 6px; align-items: center; flex-wrap: wrap; }
#yo-downloads > * { flex: 0 1 auto; min-width: 0 !important; width: auto; }
.yo-bar { height: 6px; border-radius: 3px; background: var(--yo-line); overflow: hidden; margin-top: 8px; }
.yo-bar div { height: 100%; background: #0072b2; }
#yo-downloads button, #yo-reset, #yo-stop { border: 1px solid var(--yo-line); background: var(--yo-tile); }
#yo-downloads button:hover, #yo-reset:hover, #yo-stop:hover { border-color: currentColor; }
.html-container { padding: 0 !important; }
#yo-formula { padding: 16px !important; }
#yo-grid .yo-grid { padding-top: 12px; }
#yo-video button[aria-label^="Trim"], #yo-video button[aria-label^="Reset"] { display: none; } /* would fetch FFmpeg */
#yo-hint:not(:has(p)) { display: none; }
#yo-edit { align-items: center; }
button:focus-visible { outline: 2px solid #0072b2; outline-offset: 2px; }
@media (max-width: 760px) {
  .gradio-container main { padding: 14px 12px 32px !important; }
  .tab-nav button, button[role=tab] { padding-left: 10px; padding-right: 10px; }
  #yo-formula { padding: 12px !important; }
  #yo-head h1 { font-size: 1.35rem; }
  #yo-desk { grid-template-columns: minmax(0, 1fr); grid-template-areas: "drop" "result" "panel" "controls"; }
  .yo-sum { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .yo-grid { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .yo-key { margin-left: 0; width: 100%; }
}
"""
