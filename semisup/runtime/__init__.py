"""Where and how a run computes: devices, workers, precision, signals, Keras's registry.

distribution          replicas that share a batch
workers               replicas in several processes
precision             float32 or mixed bfloat16
machine               processor, GPUs and versions, for the record
signals               Ctrl-C and SIGTERM
keras_registration    our classes in Keras's registry
"""
