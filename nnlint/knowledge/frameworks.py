"""Frameworks that own a part of the training loop: who steps, zeroes, switches modes, and which methods are called by them."""

from __future__ import annotations

from nnlint.knowledge.notation import words
from nnlint.knowledge.schema import Framework, Hook

_ALL = Framework(backward=True, step=True, zero=True, mode=True, grad=True)
_STEP = Framework(backward=True, step=True, zero=True, mode=True)
_EVALUATION = Framework(mode=True, grad=True)

# Classes and functions that run loops themselves (constructed or called with networks, optimizers, loaders).
FRAMEWORKS: dict[str, Framework] = {
    "lightning.pytorch.Trainer": _ALL,
    "transformers.Trainer": _ALL,
    "transformers.Seq2SeqTrainer": _ALL,
    **{
        f"trl.{name}": _ALL
        for name in words("SFTTrainer DPOTrainer PPOTrainer RewardTrainer KTOTrainer ORPOTrainer CPOTrainer GRPOTrainer")
    },
    "sentence_transformers.SentenceTransformer.fit": _ALL,
    "sentence_transformers.SentenceTransformerTrainer": _ALL,
    "composer.Trainer": _ALL,
    "catalyst.dl.SupervisedRunner": _ALL,
    "catalyst.dl.Runner": _ALL,
    "ignite.engine.create_supervised_trainer": Framework(backward=True, step=True, zero=True, mode=True, criterion="loss_fn"),
    "ignite.engine.create_supervised_evaluator": _EVALUATION,
    "ignite.engine.Engine": Framework(process="process_function"),
    "fastai.learner.Learner": Framework(backward=True, step=True, zero=True, mode=True, grad=True, criterion="loss_func"),
    "fastai.vision.learner.vision_learner": Framework(backward=True, step=True, zero=True, mode=True, grad=True, criterion="loss_func"),
    "fastai.vision.all.vision_learner": Framework(backward=True, step=True, zero=True, mode=True, grad=True, criterion="loss_func"),
    "fastai.vision.all.cnn_learner": Framework(backward=True, step=True, zero=True, mode=True, grad=True, criterion="loss_func"),
    "fastai.vision.all.unet_learner": Framework(backward=True, step=True, zero=True, mode=True, grad=True, criterion="loss_func"),
    "skorch.NeuralNet": Framework(backward=True, step=True, zero=True, mode=True, grad=True, criterion="criterion"),
    "skorch.NeuralNetClassifier": Framework(
        backward=True,
        step=True,
        zero=True,
        mode=True,
        grad=True,
        criterion="criterion",
        default_loss="torch.nn.NLLLoss",
        log_first=True,
    ),
    "skorch.NeuralNetBinaryClassifier": Framework(
        backward=True,
        step=True,
        zero=True,
        mode=True,
        grad=True,
        criterion="criterion",
        default_loss="torch.nn.BCEWithLogitsLoss",
    ),
    "skorch.NeuralNetRegressor": Framework(
        backward=True, step=True, zero=True, mode=True, grad=True, criterion="criterion", default_loss="torch.nn.MSELoss"
    ),
    "mmengine.runner.Runner": _ALL,
    "mmcv.runner.EpochBasedRunner": _ALL,
    "mmcv.runner.IterBasedRunner": _ALL,
    "detectron2.engine.DefaultTrainer": _ALL,
    "detectron2.engine.SimpleTrainer": _STEP,
    "detectron2.engine.AMPTrainer": _STEP,
    "ultralytics.YOLO": _ALL,
    "pytorch_metric_learning.trainers.MetricLossOnly": _STEP,
    "torchtnt.framework.train": _ALL,
    "torchtnt.framework.fit": _ALL,
    "torch.distributed.pipelining.ScheduleGPipe": Framework(backward=True, criterion="loss_fn"),
    "torch.distributed.pipelining.Schedule1F1B": Framework(backward=True, criterion="loss_fn"),
    "torch.distributed.pipelining.ScheduleInterleaved1F1B": Framework(backward=True, criterion="loss_fn"),
    "torch.distributed.pipelining.ScheduleLoopedBFS": Framework(backward=True, criterion="loss_fn"),
    "torch.distributed.pipelining.ScheduleInterleavedZeroBubble": Framework(backward=True, criterion="loss_fn"),
    "torch_lr_finder.LRFinder": Framework(backward=True, step=True, zero=True, criterion="criterion"),
}

# In the order in which they are called: what one of them makes, the later ones find.
_LIGHTNING: dict[str, Hook] = {
    "prepare_data": Hook(),
    "setup": Hook(),
    "configure_model": Hook(),
    "configure_optimizers": Hook(optimizers=True),
    "train_dataloader": Hook(),
    "val_dataloader": Hook(),
    "test_dataloader": Hook(),
    "predict_dataloader": Hook(),
    "on_fit_start": Hook("train"),
    "on_pretrain_routine_start": Hook("train"),
    "on_pretrain_routine_end": Hook("train"),
    "on_train_start": Hook("train"),
    "on_epoch_start": Hook("train"),
    "on_train_epoch_start": Hook("train"),
    "on_train_batch_start": Hook("train", batch="batch", counted=True, each=True),
    "training_step": Hook("train", trained=True, batch="batch", counted=True, each=True),
    "training_step_end": Hook("train", trained=True, each=True),
    "on_before_zero_grad": Hook("train", each=True),
    "optimizer_zero_grad": Hook("train", each=True),
    "on_before_backward": Hook("train", each=True),
    "on_after_backward": Hook("train", each=True),
    "on_before_optimizer_step": Hook("train", each=True),
    "configure_gradient_clipping": Hook("train", each=True),
    "optimizer_step": Hook("train", each=True),
    "lr_scheduler_step": Hook("train", each=True),
    "on_train_batch_end": Hook("train", batch="batch", counted=True, each=True),
    "on_validation_start": Hook("eval", grad=False),
    "on_validation_epoch_start": Hook("eval", grad=False),
    "on_validation_batch_start": Hook("eval", grad=False, batch="batch", counted=True),
    "validation_step": Hook("eval", grad=False, batch="batch", counted=True),
    "validation_step_end": Hook("eval", grad=False),
    "on_validation_batch_end": Hook("eval", grad=False, batch="batch", counted=True),
    "validation_epoch_end": Hook("eval", grad=False),
    "on_validation_epoch_end": Hook("eval", grad=False),
    "on_validation_end": Hook("eval", grad=False),
    "training_epoch_end": Hook("train"),
    "on_train_epoch_end": Hook("train"),
    "on_epoch_end": Hook("train"),
    "on_train_end": Hook("train"),
    "on_test_start": Hook("eval", grad=False),
    "on_test_epoch_start": Hook("eval", grad=False),
    "on_test_batch_start": Hook("eval", grad=False, batch="batch", counted=True),
    "test_step": Hook("eval", grad=False, batch="batch", counted=True),
    "on_test_batch_end": Hook("eval", grad=False, batch="batch", counted=True),
    "test_epoch_end": Hook("eval", grad=False),
    "on_test_epoch_end": Hook("eval", grad=False),
    "on_test_end": Hook("eval", grad=False),
    "predict_step": Hook("eval", grad=False, batch="batch", counted=True),
    "on_predict_epoch_end": Hook("eval", grad=False),
}

_CALLBACK: dict[str, Hook] = {
    name: Hook(hook.mode, hook.grad, False, hook.batch, hook.counted, "pl_module", hook.each)
    for name, hook in _LIGHTNING.items()
    if name == "setup" or name.startswith("on_")
}

# Methods that a framework calls on the user's class, by the base class that makes it one of the framework's.
HOOKS: dict[str, dict[str, Hook]] = {
    "lightning.pytorch.LightningModule": _LIGHTNING,
    "lightning.pytorch.Callback": _CALLBACK,
    "transformers.Trainer": {
        "compute_loss": Hook("", trained=True, batch="inputs"),  # called in training and in evaluation
        "training_step": Hook("train", batch="inputs"),  # runs backward itself
        "prediction_step": Hook("eval", grad=False, batch="inputs"),
        "get_train_dataloader": Hook(),
        "get_eval_dataloader": Hook(),
        "create_optimizer": Hook(),
        "create_scheduler": Hook(),
    },
    "composer.models.ComposerModel": {
        "forward": Hook(batch="batch"),
        "loss": Hook("train", trained=True),
        "eval_forward": Hook("eval", grad=False, batch="batch"),
    },
    "catalyst.dl.Runner": {"handle_batch": Hook(batch="batch"), "predict_batch": Hook("eval", grad=False, batch="batch")},
    "skorch.NeuralNet": {"get_loss": Hook(trained=True), "train_step": Hook("train"), "validation_step": Hook("eval", grad=False)},
    "mmengine.model.BaseModel": {"forward": Hook(), "train_step": Hook("train"), "val_step": Hook("eval", grad=False)},
    "torchtnt.framework.AutoUnit": {"compute_loss": Hook(trained=True)},
}

# Class attribute (or assignment in __init__) that hands a part of the loop back to the user.
MANUAL: dict[str, tuple[str, bool]] = {"lightning.pytorch.LightningModule": ("automatic_optimization", False)}

# What methods of objects of frameworks do. Effects: "prepare" returns its arguments as the same objects (in order), "same" its first
# argument, "backward" runs backward on its first argument, "clip" clips gradients (unscaling them where needed), "clip-value" likewise,
# "step" steps, "zero" zeroes, "step+zero" both, "autocast" and "gate" are contexts ("gate": inside, step and zero_grad happen only when
# accumulation is complete), "optimizers" returns the optimizers of configure_optimizers, "scheduler" those schedulers, "fit" trains,
# "evaluate" evaluates in eval mode without gradients, "loader" returns its argument as a loader, "host" gathers results.
METHOD_EFFECTS: dict[str, dict[str, str]] = {
    "accelerate.Accelerator": {
        "prepare": "prepare",
        "prepare_model": "same",
        "prepare_optimizer": "same",
        "prepare_scheduler": "same",
        "prepare_data_loader": "loader",
        "unwrap_model": "same",
        "backward": "backward",
        "clip_grad_norm_": "clip",
        "clip_grad_value_": "clip-value",
        "accumulate": "gate",
        "no_sync": "gate",
        "autocast": "autocast",
        "gather": "host",
        "gather_for_metrics": "host",
        "reduce": "host",
        "unscale_gradients": "unscale",
    },
    "lightning.fabric.Fabric": {
        "setup": "prepare",
        "setup_module": "same",
        "setup_optimizers": "prepare",
        "setup_dataloaders": "prepare",
        "backward": "backward",
        "clip_gradients": "clip",
        "no_backward_sync": "gate",
        "autocast": "autocast",
        "all_gather": "host",
    },
    "lightning.pytorch.LightningModule": {
        "manual_backward": "backward",
        "optimizers": "optimizers",
        "lr_schedulers": "scheduler",
        "clip_gradients": "clip",
        "toggle_optimizer": "none",
        "untoggle_optimizer": "none",
        "log": "none",
        "log_dict": "none",
    },
    "lightning.pytorch.Trainer": {"fit": "fit", "validate": "evaluate", "test": "evaluate", "predict": "evaluate"},
    "transformers.Trainer": {"train": "fit", "evaluate": "evaluate", "predict": "evaluate"},
    "deepspeed.DeepSpeedEngine": {"backward": "backward", "step": "step+zero", "train": "train", "eval": "eval"},
    "torch.amp.GradScaler": {"scale": "scale", "unscale_": "unscale", "step": "step", "update": "none"},
    "torch.cuda.amp.GradScaler": {"scale": "scale", "unscale_": "unscale", "step": "step", "update": "none"},
    "timm.utils.NativeScaler": {"__call__": "backward+clip+step"},  # zeroing stays with the caller
    "fastai.learner.Learner": {"fit": "fit", "fit_one_cycle": "fit", "fine_tune": "fit", "validate": "evaluate", "get_preds": "evaluate"},
    "skorch.NeuralNet": {"fit": "fit", "partial_fit": "fit", "predict": "evaluate", "predict_proba": "evaluate", "score": "evaluate"},
    "ignite.engine.Engine": {"run": "fit"},
    "composer.Trainer": {"fit": "fit", "eval": "evaluate"},
}

# Subclasses and products that share the methods of another class.
METHOD_EFFECTS.update(
    {
        "transformers.Seq2SeqTrainer": METHOD_EFFECTS["transformers.Trainer"],
        "skorch.NeuralNetClassifier": METHOD_EFFECTS["skorch.NeuralNet"],
        "skorch.NeuralNetBinaryClassifier": METHOD_EFFECTS["skorch.NeuralNet"],
        "skorch.NeuralNetRegressor": METHOD_EFFECTS["skorch.NeuralNet"],
        "timm.utils.ApexScaler": METHOD_EFFECTS["timm.utils.NativeScaler"],
    }
)

# Functions that return networks and optimizers ready for use: name -> what each item of the result is (an "engine" steps and zeroes).
INITIALIZERS: dict[str, tuple[str, ...]] = {
    "deepspeed.initialize": ("engine", "optimizer", "loader", "scheduler"),
    "apex.amp.initialize": ("models", "optimizers"),
    "colossalai.initialize": ("engine", "loader", "loader", "scheduler"),
}

# Functions that return a context whose value is the loss, scaled.
SCALING_CONTEXTS: frozenset[str] = frozenset({"apex.amp.scale_loss"})

# Calls and contexts that run backward without an optimizer or gradients of torch's own keeping.
DISTRIBUTED_AUTOGRAD: frozenset[str] = frozenset({"torch.distributed.autograd.context", "torch.distributed.autograd.backward"})

# Calls that only distribute state: no zeroing, no stepping, no change of mode.
BROADCASTS: frozenset[str] = frozenset(
    {
        "horovod.torch.broadcast_parameters",
        "horovod.torch.broadcast_optimizer_state",
        "torch.distributed.broadcast",
        "torch.distributed.all_reduce",
        "torch.distributed.barrier",
    }
)
