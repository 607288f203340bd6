"""The report: one self-contained page, and a summary in Markdown beside it.

    page          what the files are made of, and where they go
    view          what a report shows
    words         figures as words
    plots         SVG
    verdict, comparison, and one file for each suite: from results to what is shown
    page.html.j2, summary.md.j2

Its findings come from the figures alone.
"""
