"""What figures are drawn with: style, pages, panels."""
