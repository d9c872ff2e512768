"""Loaders of data sets, a module for each source. `semisup.data.registry` names them."""
