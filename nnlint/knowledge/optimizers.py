"""Optimizers, learning-rate schedulers and gradient scalers, by qualified name."""

from __future__ import annotations


def _names(module: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names.split())


# Classes whose instance has `step` and `zero_grad` over the parameters it is given first.
OPTIMIZERS: frozenset[str] = (
    _names(
        "torch.optim",
        "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Muon NAdam Optimizer RAdam RMSprop Rprop SGD SparseAdam",
    )
    | _names("transformers", "AdamW Adafactor")
    | _names("transformers.optimization", "AdamW Adafactor")
    | _names("pytorch_transformers", "AdamW")
    | _names("pytorch_pretrained_bert", "BertAdam OpenAIAdam")
    | _names("apex.optimizers", "FusedAdam FusedSGD FusedLAMB FusedNovoGrad FusedAdagrad FusedMixedPrecisionLamb")
    | _names(
        "bitsandbytes.optim",
        "Adam Adam8bit Adam32bit PagedAdam PagedAdam8bit PagedAdam32bit AdamW AdamW8bit AdamW32bit PagedAdamW PagedAdamW8bit "
        "PagedAdamW32bit SGD SGD8bit SGD32bit Lion Lion8bit Lion32bit PagedLion PagedLion8bit PagedLion32bit LAMB LAMB8bit LARS LARS8bit "
        "RMSprop RMSprop8bit Adagrad Adagrad8bit AdEMAMix AdEMAMix8bit",
    )
    | _names("deepspeed.ops.adam", "FusedAdam DeepSpeedCPUAdam")
    | _names("deepspeed.ops.lamb", "FusedLamb")
    | _names("deepspeed.ops.lion", "FusedLion DeepSpeedCPULion")
    | _names(
        "torch_optimizer",
        "A2GradExp A2GradInc A2GradUni AccSGD AdaBelief AdaBound AdaMod Adafactor Adahessian AdamP AggMo Apollo DiffGrad LARS Lamb MADGRAD "
        "NovoGrad PID QHAdam QHM RAdam Ranger RangerQH RangerVA SGDP SGDW SWATS Shampoo Yogi",
    )
    | _names(
        "pytorch_optimizer",
        "AdaBelief AdaBound AdaFactor Adai AdamP AdamS Adan AdEMAMix CAME DAdaptAdam Lamb LARS Lion MADGRAD Muon NovoGrad Prodigy RAdam "
        "Ranger Ranger21 ScheduleFreeAdamW ScheduleFreeSGD SGDP SGDW Shampoo SOAP StableAdamW Sophia SophiaH Tiger Yogi",
    )
    | _names(
        "timm.optim",
        "AdaBelief Adafactor AdafactorBigVision Adahessian AdamP AdamW AdamWLegacy Adan Adopt Kron LaProp Lamb Lars Lion MADGRAD Mars Muon "
        "NAdamLegacy NAdamW NvNovoGrad RAdam RAdamLegacy RMSpropTF SGDP SGDW",
    )
    | _names("schedulefree", "AdamWScheduleFree RAdamScheduleFree SGDScheduleFree AdamWScheduleFreeClosure SGDScheduleFreeClosure")
    | _names("ranger", "Ranger RangerVA RangerQH")
    | _names("dadaptation", "DAdaptAdam DAdaptSGD DAdaptAdaGrad DAdaptLion DAdaptAdan")
    | frozenset(
        {
            "adabelief_pytorch.AdaBelief",
            "adabound.AdaBound",
            "adamp.AdamP",
            "adamp.SGDP",
            "adan_pytorch.Adan",
            "adan.Adan",
            "came_pytorch.CAME",
            "galore_torch.GaLoreAdamW",
            "lion_pytorch.Lion",
            "madgrad.MADGRAD",
            "monai.optimizers.Novograd",
            "muon.Muon",
            "muon.MuonWithAuxAdam",
            "muon.SingleDeviceMuon",
            "muon.SingleDeviceMuonWithAuxAdam",
            "prodigyopt.Prodigy",
            "radam.RAdam",
            "sophia.SophiaG",
            "geoopt.optim.RiemannianAdam",
            "geoopt.optim.RiemannianSGD",
            "fairseq.optim.adafactor.Adafactor",
            "torchao.optim.AdamW8bit",
            "torchao.optim.AdamW4bit",
            "torchao.optim.AdamWFp8",
        }
    )
)

# Functions that return an optimizer: name -> the parameter that holds the network or its parameters.
OPTIMIZER_FACTORIES: dict[str, str] = {
    "timm.optim.create_optimizer": "model",  # (args, model)
    "timm.optim.create_optimizer_v2": "model_or_params",
    "timm.optim.optim_factory.create_optimizer": "model",
    "timm.optim.optim_factory.create_optimizer_v2": "model_or_params",
    "mmengine.optim.build_optim_wrapper": "model",
    "mmcv.runner.build_optimizer": "model",
    "detectron2.solver.build_optimizer": "model",
}

# Optimizers whose `step` wants a closure that zeroes, runs backward and returns the loss.
CLOSURE_OPTIMIZERS: frozenset[str] = frozenset(
    {
        "torch.optim.LBFGS",
        "schedulefree.AdamWScheduleFreeClosure",
        "schedulefree.SGDScheduleFreeClosure",
        "sls.Sls",
    }
)

# Classes that are given an optimizer (or the class of one) and behave like it: name -> the parameter that holds it.
WRAPPING_OPTIMIZERS: dict[str, str] = {
    "torch.distributed.optim.ZeroRedundancyOptimizer": "optimizer_class",  # (params, optimizer_class, ..., **defaults)
    "torch.distributed.optim.DistributedOptimizer": "optimizer_class",  # (optimizer_class, params_rref)
    "torch.distributed.optim.PostLocalSGDOptimizer": "optim",
    "torch_optimizer.Lookahead": "optimizer",
    "pytorch_optimizer.Lookahead": "optimizer",
    "pytorch_optimizer.SAM": "base_optimizer",
    "pytorch_optimizer.GSAM": "base_optimizer",
    "pytorch_optimizer.PCGrad": "optimizer",
    "timm.optim.Lookahead": "base_optimizer",
    "sam.SAM": "base_optimizer",
    "schedulefree.ScheduleFreeWrapper": "base",
    "fairscale.optim.oss.OSS": "optim",
    "fairscale.optim.OSS": "optim",
    "horovod.torch.DistributedOptimizer": "optimizer",
    "apex.fp16_utils.FP16_Optimizer": "init_optimizer",
    "apex.parallel.LARC": "optimizer",
    "apex.parallel.LARC.LARC": "optimizer",
    "accelerate.optimizer.AcceleratedOptimizer": "optimizer",
    "opacus.optimizers.DPOptimizer": "optimizer",
    "mmengine.optim.OptimWrapper": "optimizer",
    "mmengine.optim.AmpOptimWrapper": "optimizer",
    "lightning.fabric.wrappers._FabricOptimizer": "optimizer",
}

# Of those, the ones that step twice for one batch: backward, first_step, backward, second_step.
TWO_STEP_OPTIMIZERS: frozenset[str] = frozenset({"pytorch_optimizer.SAM", "pytorch_optimizer.GSAM", "sam.SAM"})

# Optimizers with a train() and eval() of their own, which are not those of a network.
MODE_OPTIMIZERS: frozenset[str] = frozenset(
    {
        *_names("schedulefree", "AdamWScheduleFree RAdamScheduleFree SGDScheduleFree ScheduleFreeWrapper"),
        *_names("schedulefree", "AdamWScheduleFreeClosure SGDScheduleFreeClosure"),
        *_names("pytorch_optimizer", "ScheduleFreeAdamW ScheduleFreeSGD"),
    }
)

# Classes and functions that return a scheduler; the optimizer is their first argument.
SCHEDULERS: frozenset[str] = (
    _names(
        "torch.optim.lr_scheduler",
        "ChainedScheduler ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR LRScheduler LambdaLR LinearLR "
        "MultiStepLR MultiplicativeLR OneCycleLR PolynomialLR ReduceLROnPlateau SequentialLR StepLR",
    )
    | _names("torch.optim.swa_utils", "SWALR")
    | _names(
        "transformers",
        "get_scheduler get_constant_schedule get_constant_schedule_with_warmup get_linear_schedule_with_warmup "
        "get_cosine_schedule_with_warmup get_cosine_with_hard_restarts_schedule_with_warmup "
        "get_cosine_with_min_lr_schedule_with_warmup get_inverse_sqrt_schedule "
        "get_polynomial_decay_schedule_with_warmup get_reduce_on_plateau_schedule get_wsd_schedule",
    )
    | _names(
        "diffusers.optimization",
        "get_scheduler get_constant_schedule get_constant_schedule_with_warmup get_linear_schedule_with_warmup "
        "get_cosine_schedule_with_warmup get_cosine_with_hard_restarts_schedule_with_warmup "
        "get_polynomial_decay_schedule_with_warmup get_piecewise_constant_schedule",
    )
    | _names("timm.scheduler", "CosineLRScheduler MultiStepLRScheduler PlateauLRScheduler PolyLRScheduler StepLRScheduler TanhLRScheduler")
    | _names("pytorch_transformers", "WarmupLinearSchedule WarmupConstantSchedule WarmupCosineSchedule")
    | _names("warmup_scheduler", "GradualWarmupScheduler")
    | _names("cosine_annealing_warmup", "CosineAnnealingWarmupRestarts")
    | _names("pl_bolts.optimizers.lr_scheduler", "LinearWarmupCosineAnnealingLR")
    | _names("deepspeed.runtime.lr_schedules", "WarmupLR WarmupDecayLR WarmupCosineLR OneCycle LRRangeTest")
    | _names("ignite.handlers", "CosineAnnealingScheduler LinearCyclicalScheduler PiecewiseLinear")
)

# Schedulers that are stepped with a metric, after a validation.
METRIC_SCHEDULERS: frozenset[str] = frozenset({"torch.optim.lr_scheduler.ReduceLROnPlateau", "transformers.get_reduce_on_plateau_schedule"})

# Functions that return (scheduler, number of epochs).
SCHEDULER_FACTORIES: frozenset[str] = _names("timm.scheduler", "create_scheduler create_scheduler_v2")

# Gradient scalers: `scale`, `unscale_`, `step`, `update`.
SCALERS: frozenset[str] = frozenset(
    {
        "torch.amp.GradScaler",
        "torch.cuda.amp.GradScaler",
        "torch.cpu.amp.GradScaler",
        "torch.distributed.fsdp.sharded_grad_scaler.ShardedGradScaler",
        "fairscale.optim.grad_scaler.GradScaler",
        "fairscale.optim.grad_scaler.ShardedGradScaler",
    }
)

# Callables that scale, run backward, clip (where asked to) and step in one call: `loss_scaler(loss, optimizer, ...)`.
STEPPING_SCALERS: frozenset[str] = frozenset(
    {"timm.utils.NativeScaler", "timm.utils.ApexScaler", "timm.utils.cuda.NativeScaler", "timm.utils.cuda.ApexScaler"}
)

# Functions that clip the gradients of the parameters they are given first.
CLIPS: frozenset[str] = frozenset(
    {
        "torch.nn.utils.clip_grad_norm_",
        "torch.nn.utils.clip_grad_norm",
        "torch.nn.utils.clip_grad_value_",
        "torch.nn.utils.clip_grads_with_norm_",
        "timm.utils.dispatch_clip_grad",
        "timm.utils.agc.adaptive_clip_grad",
        "timm.utils.adaptive_clip_grad",
    }
)
