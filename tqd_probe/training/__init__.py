"""Training of a model with a timestep distribution per clip.

`train.train` reads from top to bottom. Its parts are set up by `accelerator`, `model`,
`schedule_in_use` and `run_configuration`; `scored_clips`, `encoded_clips`, `batches`
and `validation_set` are the data; `trainer` is the loop, with `optimisation`, `ema` and
`parameters`; `checkpoint`, `export_weights`, `weight_metadata` and `result` are what it
writes; `callbacks` are called between steps.
"""
