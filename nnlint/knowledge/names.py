"""Public spellings of qualified names, and what is known of whole libraries and of the contexts that switch gradients."""

from __future__ import annotations

from functools import cache
from typing import Union

from nnlint.knowledge.notation import words

# Names with another public spelling.
PUBLIC: dict[str, str] = {
    "torch.nn.functional.sigmoid": "torch.sigmoid",
    "torch.nn.functional.tanh": "torch.tanh",
    "torch.special.expit": "torch.sigmoid",
    "torch.special.softmax": "torch.softmax",
    "torch.special.log_softmax": "torch.log_softmax",
    "torch.special.logsumexp": "torch.logsumexp",
    "torch.nn.parallel.DataParallel": "torch.nn.DataParallel",
    "torch.autocast": "torch.amp.autocast",
    "torch.cuda.amp.autocast": "torch.amp.autocast",
    "torch.cpu.amp.autocast": "torch.amp.autocast",
    "torch.autograd.no_grad": "torch.no_grad",
    "torch.autograd.enable_grad": "torch.enable_grad",
    "torch.autograd.set_grad_enabled": "torch.set_grad_enabled",
    "torch.autograd.inference_mode": "torch.inference_mode",
    "torch.optim.lr_scheduler._LRScheduler": "torch.optim.lr_scheduler.LRScheduler",
    "torch.utils.data.DistributedSampler": "torch.utils.data.distributed.DistributedSampler",
    "torch.nn.utils.clip_grad_norm": "torch.nn.utils.clip_grad_norm_",
    "torch.nn.init.uniform": "torch.nn.init.uniform_",
    "torch.nn.init.normal": "torch.nn.init.normal_",
    "torch.nn.init.constant": "torch.nn.init.constant_",
    "torch.nn.init.xavier_uniform": "torch.nn.init.xavier_uniform_",
    "torch.nn.init.xavier_normal": "torch.nn.init.xavier_normal_",
    "torch.nn.init.kaiming_uniform": "torch.nn.init.kaiming_uniform_",
    "torch.nn.init.kaiming_normal": "torch.nn.init.kaiming_normal_",
    "torch.nn.init.orthogonal": "torch.nn.init.orthogonal_",
    "torch.distributed._composable.fsdp.fully_shard": "torch.distributed.fsdp.fully_shard",
    "pytorch_lightning": "lightning.pytorch",
    "lightning_fabric": "lightning.fabric",
    "lightning.LightningModule": "lightning.pytorch.LightningModule",
    "lightning.LightningDataModule": "lightning.pytorch.LightningDataModule",
    "lightning.Trainer": "lightning.pytorch.Trainer",
    "lightning.Callback": "lightning.pytorch.Callback",
    "lightning.seed_everything": "lightning.pytorch.seed_everything",
    "lightning.Fabric": "lightning.fabric.Fabric",
    "timm.models.create_model": "timm.create_model",
    "timm.models.factory.create_model": "timm.create_model",
    "torch_geometric.data.DataLoader": "torch_geometric.loader.DataLoader",
    "torch_geometric.data.NeighborSampler": "torch_geometric.loader.NeighborSampler",
    "torch_scatter.scatter_softmax": "torch_scatter.composite.scatter_softmax",
    "torch_scatter.scatter_log_softmax": "torch_scatter.composite.scatter_log_softmax",
    "tqdm.tqdm_notebook": "tqdm.tqdm",
    "tqdm.tnrange": "tqdm.trange",
    "tqdm.notebook.tnrange": "tqdm.trange",
    "fastai.vision.all.Learner": "fastai.learner.Learner",
    "fastai.basics.Learner": "fastai.learner.Learner",
    "horovod.torch.optimizer.DistributedOptimizer": "horovod.torch.DistributedOptimizer",
}


def _inside(package: str, modules: str) -> dict[str, str]:
    """Private modules whose members are public in the package."""
    return {f"{package}.{module}": package for module in modules.split()}


# Modules whose public members have a shorter public spelling elsewhere: members only, never the module's own name.
MODULES: dict[str, str] = {
    **{
        f"torch.nn.modules.{module}": "torch.nn"
        for module in words(
            "activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold instancenorm linear loss module "
            "normalization padding pixelshuffle pooling rnn sparse transformer upsampling"
        )
    },
    "torch.nn.modules": "torch.nn",
    "torch.nn.parameter": "torch.nn",
    "torch.nn.parallel.data_parallel": "torch.nn",
    "torch.nn.parallel.distributed": "torch.nn.parallel",
    **_inside("torch.nn.utils", "clip_grad convert_parameters weight_norm spectral_norm"),
    "torch.functional": "torch",
    "torch._C._nn": "torch.nn.functional",
    "torch._C._VariableFunctions": "torch",
    "torch._VF": "torch",
    "torch.autograd.variable": "torch.autograd",
    "torch.autograd.grad_mode": "torch",
    "torch.amp.autocast_mode": "torch.amp",
    "torch.amp.grad_scaler": "torch.amp",
    "torch.cuda.amp.autocast_mode": "torch.cuda.amp",
    "torch.cuda.amp.grad_scaler": "torch.cuda.amp",
    "torch.optim._multi_tensor": "torch.optim",
    **_inside(
        "torch.optim",
        "adadelta adagrad adam adamax adamw asgd lbfgs nadam optimizer radam rmsprop rprop sgd sparse_adam _adafactor _muon",
    ),
    **_inside("torch.utils.data", "dataloader dataset sampler"),
    "torch.distributed.fsdp.fully_sharded_data_parallel": "torch.distributed.fsdp",
    "torch.distributed.optim.zero_redundancy_optimizer": "torch.distributed.optim",
    **_inside(
        "torchvision.models",
        "alexnet convnext densenet efficientnet googlenet inception maxvit mnasnet mobilenet mobilenetv2 mobilenetv3 regnet resnet "
        "shufflenetv2 squeezenet swin_transformer vgg vision_transformer",
    ),
    **_inside("torchvision.models.segmentation", "deeplabv3 fcn lraspp segmentation"),
    **_inside("torchvision.models.detection", "faster_rcnn fcos keypoint_rcnn mask_rcnn retinanet ssd ssdlite"),
    **_inside("torchvision.models.video", "mvit resnet s3d swin_transformer"),
    **_inside("torchvision.ops", "boxes deform_conv drop_block focal_loss misc roi_align roi_pool stochastic_depth"),
    **_inside("torchvision.transforms", "transforms"),
    **_inside("torchvision.datasets", "cifar coco folder imagenet mnist svhn stl10"),
    "timm.models.layers": "timm.layers",
    **_inside("timm.layers", "drop mlp norm norm_act patch_embed weight_init conv_bn_act"),
    **_inside("timm.loss", "asymmetric_loss binary_cross_entropy cross_entropy"),
    **_inside("timm.optim", "adabelief adafactor adamp adamw lamb lars lion lookahead madgrad nadam nvnovograd optim_factory radam sgdp"),
    **_inside("timm.optim", "_optim_factory rmsprop_tf"),
    **_inside("timm.scheduler", "cosine_lr multistep_lr plateau_lr poly_lr scheduler_factory step_lr tanh_lr"),
    **_inside("timm.utils", "agc clip_grad cuda model_ema"),
    **_inside("transformers", "modeling_utils optimization trainer trainer_seq2seq training_args"),
    "pytorch_lightning": "lightning.pytorch",
    "lightning_fabric": "lightning.fabric",
    **_inside("lightning.pytorch", "core core.datamodule core.lightning core.module trainer trainer.trainer"),
    **_inside("lightning.fabric", "fabric"),
    **_inside("accelerate", "accelerator"),
    **_inside("torch_geometric.loader", "dataloader"),
    **_inside(
        "torch_geometric.nn",
        "conv conv.cheb_conv conv.edge_conv conv.gat_conv conv.gatv2_conv conv.gcn_conv conv.gin_conv conv.graph_conv conv.message_passing "
        "conv.nn_conv conv.rgcn_conv conv.sage_conv conv.sg_conv conv.transformer_conv dense.linear glob norm norm.batch_norm "
        "norm.layer_norm pool",
    ),
    **_inside("tqdm", "asyncio auto autonotebook gui notebook rich std"),
    **_inside("ignite.engine", "engine"),
    **_inside("segmentation_models_pytorch.losses", "focal soft_bce soft_ce"),
    **_inside("einops", "einops"),
    **_inside("kornia.losses", "focal"),
    **_inside("skorch", "classifier net regressor"),
}


@cache
def public(name: str) -> str:
    """The public spelling of a qualified name: the name itself where it has none other."""
    while True:
        other = PUBLIC.get(name, "")
        module, _, member = name.rpartition(".")
        while not other and module and not member.startswith("_") and name not in MODULES:
            if module in MODULES:
                other = MODULES[module] + name[len(module) :]
            module = module.rpartition(".")[0]
        if not other or other == name:
            return name
        name = other


# Contexts and decorators that switch gradients: on, off, or as their first argument says (None).
GRAD_CONTEXTS: dict[str, Union[bool, None]] = {
    "torch.no_grad": False,
    "torch.inference_mode": False,  # inference_mode(False) leaves them as they are
    "torch.enable_grad": True,
    "torch.set_grad_enabled": None,
}

# Libraries, by top-level name or package, that neither zero gradients nor switch modes of what is passed to them, nor call back.
LIBRARIES: frozenset[str] = frozenset(
    words(
        """
        PIL abc argparse ast base64 bisect bz2 calendar cmath collections colorama configparser copy csv cv2 dataclasses
        datetime decimal difflib einops enum errno fnmatch fractions gc getpass glob gzip h5py hashlib heapq html http imageio
        inspect io itertools json keyword locale logging loguru lzma math matplotlib mlflow nltk numbers numpy omegaconf
        operator os pandas pathlib pickle platform plotly pprint psutil pyarrow queue random re requests rich seaborn secrets
        shlex shutil signal skimage sklearn socket sqlite3 statistics string struct subprocess swanlab sys tabulate tarfile
        tempfile tensorboard tensorboardX tensorboard_logger termcolor textwrap time tokenize tokenizers toml torchinfo
        torchmetrics torchsummary torchviz tqdm traceback types typing typing_extensions unicodedata urllib uuid visdom wandb
        warnings weakref yaml zipfile zlib
        torch.utils.tensorboard
        """
    )
)

# What a member of a module is, when its name is not known: getattr(torch.optim, args.optimizer).
ANY_MEMBER: dict[str, str] = {
    "torch.optim": "torch.optim.Optimizer",
    "torch.optim.lr_scheduler": "torch.optim.lr_scheduler.LRScheduler",
    "torchvision.models": "torchvision.models.get_model",
}
