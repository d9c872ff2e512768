"""Images in, batches out: data sets by name, labelled subsets, training batches."""
