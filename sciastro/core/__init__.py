"""The language of sciastro: vocabulary, quality bits, options, history, WCS and lazy lifting."""
