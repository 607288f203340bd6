"""The page that `tn-run serve` opens, and the endpoints behind it.

`app` has the endpoints, `work` bounds how much is done at a time, `models` keeps loaded models,
`tiles` makes the plane's tiles and `uploads` reads photos of strangers. `page/` is what the browser
gets; the static site (`make site`) has the same page, and runs the models in the browser.
"""
