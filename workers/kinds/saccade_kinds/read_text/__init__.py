"""``read_text``: the text of pictures and PDFs, by OCR or by the PDF's own text layer."""
