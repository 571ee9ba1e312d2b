"""The Gradio interface: it builds recipes from controls and shows what `render` gives."""
