import dataclasses

import numpy as np

from semisup import experiment
from semisup.runs import labeled_embeddings


def test_embed_keeps_labelled_images_of_all_classes(tiny, monkeypatch):
    setup = experiment.build(dataclasses.replace(tiny, sup_per_class=-1))
    split, labels = setup.data.split, setup.data.labeled_labels
    fewer = np.delete(split.labeled, np.flatnonzero(labels == 1)[2:])  # 20, 2, 20
    data = dataclasses.replace(setup.data, split=dataclasses.replace(split, labeled=fewer))
    monkeypatch.setattr(labeled_embeddings, "EMBEDDINGS_KEPT", 12)
    kept = labeled_embeddings.embed(setup.model, data)
    assert np.bincount(kept.record.labels).tolist() == [5, 2, 5]
    assert kept.indices.tolist() == sorted(kept.indices)
