"""Operations on tensors: functions by qualified name, methods and attributes of a tensor by their own name.

A function lists its tensor first (`torch.softmax`: input, dim, dtype); a method does not list its receiver (`softmax`: dim, dtype).
The first result of `sort` and `topk` are values (KEEP), the second are indices (a DECISION). Losses are in `nnlint.knowledge.losses`.
"""

from __future__ import annotations

from nnlint.knowledge.notation import operations
from nnlint.knowledge.schema import Kind, Op

# Both a method of a tensor and a function of torch that takes the tensor as `input`.
_BOTH: dict[Kind, str] = {
    Kind.KEEP: """
        reshape *shape
        permute *dims
        transpose dim0 dim1
        swapaxes=transpose axis0 axis1
        swapdims=transpose dim0 dim1
        t
        adjoint=mT
        movedim source destination
        moveaxis=movedim source destination
        flatten start_dim=0 end_dim=-1
        ravel=flatten
        unflatten dim sizes
        squeeze dim=None
        unsqueeze dim
        broadcast_to *size
        tile *dims
        repeat_interleave repeats dim=None
        flip *dims
        fliplr
        flipud
        roll shifts dims=None
        rot90 k=1 dims
        as_strided size stride storage_offset
        chunk chunks dim=0 -> 0
        tensor_split indices_or_sections dim=0 -> 0
        hsplit indices_or_sections -> 0
        vsplit indices_or_sections -> 0
        dsplit indices_or_sections -> 0
        unbind dim=0 -> 0
        select dim index
        narrow dim start length
        index_select dim index
        gather dim index
        take index
        take_along_dim indices dim
        masked_select mask
        masked_fill mask value
        masked_scatter mask source
        index_copy dim index source
        index_fill dim index value
        index_put indices values accumulate
        select_scatter src dim index
        slice_scatter src dim start end step
        diagonal_scatter src offset dim1 dim2
        scatter dim index src
        diag diagonal=0
        diag_embed offset dim1 dim2
        diagflat offset
        diagonal offset=0 dim1=0 dim2=1
        tril diagonal=0
        triu diagonal=0
        clone
        conj
        resolve_conj
        resolve_neg
        positive
        nan_to_num nan posinf neginf
        sort dim=-1 descending=False -> 2
        msort=sort
        topk k dim=-1 largest=True sorted=True -> 2
        """,
    Kind.DETACH: """
        detach/_
        """,
    Kind.PROBABILITY: """
        softmax dim dtype
        sigmoid/_
        """,
    Kind.LOG_PROBABILITY: """
        log_softmax dim dtype
        """,
    Kind.ACTIVATION: """
        relu/_
        tanh/_
        hardshrink lambd
        prelu weight
        """,
    Kind.REDUCE: """
        sum dim=None keepdim=False dtype
        nansum dim=None keepdim=False dtype
        mean dim=None keepdim=False dtype
        nanmean dim=None keepdim=False dtype
        prod dim=None keepdim=False dtype
        max dim=None keepdim=False
        min dim=None keepdim=False
        amax dim keepdim=False
        amin dim keepdim=False
        median dim=None keepdim=False
        nanmedian dim=None keepdim=False
        mode dim=-1 keepdim=False -> 2
        kthvalue k dim=-1 keepdim=False -> 2
        aminmax dim=None keepdim=False -> 2
        logsumexp dim keepdim=False
        std dim=None unbiased keepdim=False
        var dim=None unbiased keepdim=False
        quantile q dim=None keepdim=False interpolation
        nanquantile q dim=None keepdim=False interpolation
        norm p dim=None keepdim=False dtype
        dist other p
        trace
        det
        logdet
        slogdet -> 2
        """,
    Kind.LOG: """
        log/_
        log2/_
        log10/_
        """,
    Kind.EXP: """
        exp/_
        exp2/_
        """,
    Kind.CLAMP: """
        clamp/_ min max
        clip/_=clamp min max
        clamp_min/_ min
        clamp_max/_ max
        """,
    Kind.ARITHMETIC: """
        add other alpha
        sub other alpha
        subtract=sub other alpha
        mul other
        multiply=mul other
        div other rounding_mode
        divide=div other rounding_mode
        true_divide=div other
        remainder other
        fmod other
        pow exponent
        float_power=pow exponent
        abs/_
        absolute=abs
        neg/_
        negative/_=neg
        reciprocal/_
        sqrt/_
        rsqrt/_
        square/_
        log1p/_
        expm1/_
        logit/_ eps
        logaddexp other
        logaddexp2 other
        xlogy other
        sin/_
        cos/_
        tan/_
        asin/_
        acos/_
        atan/_
        arcsin/_=asin
        arccos/_=acos
        arctan/_=atan
        sinh/_
        cosh/_
        asinh/_
        acosh/_
        atanh/_
        arcsinh/_=asinh
        arccosh/_=acosh
        arctanh/_=atanh
        atan2 other
        arctan2=atan2 other
        sinc/_
        erf/_
        erfc/_
        erfinv
        lgamma
        digamma
        polygamma n
        mvlgamma p
        igamma other
        igammac other
        i0/_
        angle
        deg2rad/_
        rad2deg/_
        frac/_
        hypot other
        ldexp/_ other
        copysign other
        lerp end weight
        maximum other
        minimum other
        fmax other
        fmin other
        addcmul tensor1 tensor2 value
        addcdiv tensor1 tensor2 value
        addmm mat1 mat2 beta alpha
        addmv mat vec beta alpha
        addbmm batch1 batch2 beta alpha
        baddbmm batch1 batch2 beta alpha
        addr vec1 vec2 beta alpha
        matmul other
        mm mat2
        bmm mat2
        mv vec
        dot tensor
        vdot other
        inner other
        outer vec2
        ger=outer vec2
        kron other
        cross other dim
        matrix_exp
        matrix_power n
        inverse
        pinverse=inverse rcond
        cholesky upper
        cholesky_solve input2 upper
        cholesky_inverse upper
        svd some compute_uv -> 3
        qr some -> 2
        cumsum dim dtype
        cumprod dim dtype
        cummax dim -> 2
        cummin dim -> 2
        logcumsumexp dim
        diff n dim prepend append
        cov correction fweights aweights
        corrcoef
        renorm p dim maxnorm
        index_add dim index source alpha
        index_reduce dim index source reduce include_self
        scatter_add dim index src
        scatter_reduce dim index src reduce include_self
        stft n_fft hop_length win_length window center pad_mode normalized onesided return_complex
        istft n_fft hop_length win_length window center normalized onesided length return_complex
        frexp -> 2
        """,
    Kind.DECISION: """
        argmax dim=None keepdim=False
        argmin dim=None keepdim=False
        argsort dim=-1 descending=False
        argwhere
        nonzero
        unique sorted return_inverse return_counts dim
        unique_consecutive return_inverse return_counts dim
        bincount weights minlength
        count_nonzero dim
        histc bins min max
        histogram bins -> 2
        multinomial num_samples replacement generator
        bernoulli generator
        eq other
        ne other
        not_equal=ne other
        gt other
        greater=gt other
        ge other
        greater_equal=ge other
        lt other
        less=lt other
        le other
        less_equal=le other
        isclose other rtol atol equal_nan
        isfinite
        isinf
        isnan
        isneginf
        isposinf
        isreal
        logical_and other
        logical_or other
        logical_xor other
        logical_not
        bitwise_and other
        bitwise_or other
        bitwise_xor other
        bitwise_not
        bitwise_left_shift other
        bitwise_right_shift other
        all dim=None keepdim=False
        any dim=None keepdim=False
        floor/_
        ceil/_
        round/_ decimals
        trunc/_
        fix/_=trunc
        sign
        sgn
        signbit
        heaviside values
        floor_divide other
        gcd/_ other
        lcm/_ other
        """,
    Kind.HOST: """
        equal other
        allclose other rtol atol equal_nan
        """,
}

_METHODS: dict[Kind, str] = {
    Kind.KEEP: """
        view *shape
        view_as other
        resize/_ *shape
        resize_as/_ other
        reshape_as other
        transpose_ dim0 dim1
        swapaxes_=transpose axis0 axis1
        swapdims_=transpose dim0 dim1
        t_
        squeeze_ dim=None
        unsqueeze_ dim
        expand *size
        expand_as other
        repeat *repeats
        unfold=sliding dimension size step
        split split_size dim=0 -> 0
        split_with_sizes=split split_sizes dim=0 -> 0
        contiguous memory_format
        where condition other
        masked_fill_ mask value
        masked_scatter_ mask source
        index_copy_ dim index source
        index_fill_ dim index value
        index_put_ indices values accumulate
        scatter_ dim index src
        tril_ diagonal=0
        triu_ diagonal=0
        nan_to_num_ nan posinf neginf
        copy_ src non_blocking
        to device dtype non_blocking copy memory_format
        cuda=to device non_blocking memory_format
        cpu=to memory_format
        xpu=to device non_blocking memory_format
        mtia=to device non_blocking memory_format
        type=to dtype non_blocking
        type_as=to other
        float=to memory_format
        double=to memory_format
        half=to memory_format
        bfloat16=to memory_format
        cfloat=to memory_format
        cdouble=to memory_format
        pin_memory device
        share_memory_
        requires_grad_ requires_grad=True
        as_subclass cls
        to_dense dtype
        to_sparse sparse_dim
        coalesce
        dequantize
        """,
    Kind.DETACH: """
        numpy
        """,
    Kind.REDUCE: """
        sum_to_size *size
        """,
    Kind.ARITHMETIC: """
        add_ other alpha
        sub_ other alpha
        subtract_=sub other alpha
        mul_ other
        multiply_=mul other
        div_ other rounding_mode
        divide_=div other rounding_mode
        true_divide_=div other
        remainder_ other
        fmod_ other
        pow_ exponent
        float_power_=pow exponent
        absolute_=abs
        lerp_ end weight
        erfinv_
        cumsum_ dim dtype
        cumprod_ dim dtype
        addcmul_ tensor1 tensor2 value
        addcdiv_ tensor1 tensor2 value
        addmm_ mat1 mat2 beta alpha
        addmv_ mat vec beta alpha
        addbmm_ batch1 batch2 beta alpha
        baddbmm_ batch1 batch2 beta alpha
        index_add_ dim index source alpha
        index_reduce_ dim index source reduce include_self
        scatter_add_ dim index src
        scatter_reduce_ dim index src reduce include_self
        renorm_ p dim maxnorm
        """,
    Kind.DECISION: """
        long memory_format
        int memory_format
        short memory_format
        char memory_format
        byte memory_format
        bool memory_format
        floor_divide_ other
        sign_
        eq_ other
        ne_ other
        gt_ other
        ge_ other
        lt_ other
        le_ other
        logical_and_ other
        logical_or_ other
        logical_xor_ other
        logical_not_
        bitwise_and_ other
        bitwise_or_ other
        bitwise_xor_ other
        bitwise_not_
        """,
    Kind.SOURCE: """
        new_tensor data dtype device requires_grad
        new_zeros *size
        new_ones *size
        new_empty *size
        new_full size fill_value
        zero_
        fill_ value
        normal_ mean std generator
        uniform_ from to generator
        random_ from to generator
        bernoulli_ p generator
        exponential_ lambd generator
        cauchy_ median sigma generator
        log_normal_ mean std generator
        geometric_ p generator
        """,
    Kind.HOST: """
        item
        tolist
        """,
}

_ATTRIBUTES: dict[Kind, str] = {
    Kind.KEEP: """
        T
        mT
        H=T
        mH=mT
        real
        imag
        """,
    Kind.DETACH: """
        data
        """,
    Kind.SOURCE: """
        grad
        """,
}

# Methods of a numpy array that mean something else than those of a tensor; `reshape`, `flatten`, `ravel`, `sum` ... mean the same.
_ARRAY: dict[Kind, str] = {
    Kind.KEEP: """
        transpose=permute *axes
        swapaxes=transpose axis1 axis2
        squeeze axis=None
        repeat=repeat_interleave repeats axis=None
        astype=to dtype
        copy=clone order
        """,
    Kind.REDUCE: """
        sum axis=None dtype out keepdims
        mean axis=None dtype out keepdims
        max axis=None out keepdims
        min axis=None out keepdims
        std axis=None dtype out
        var axis=None dtype out
        """,
    Kind.DECISION: """
        argmax axis=None out
        argmin axis=None out
        argsort axis=-1 kind
        """,
}

# Functions by the module they live in, all parameters spelled out.
_FUNCTIONS: dict[str, dict[Kind, str]] = {
    "torch": {
        Kind.KEEP: """
            cat [tensors] dim=0
            concat=cat [tensors] dim=0
            concatenate=cat [tensors] dim=0
            stack [tensors] dim=0
            hstack [tensors]
            vstack [tensors]
            row_stack=vstack [tensors]
            dstack [tensors]
            column_stack [tensors]
            block_diag *[tensors]
            broadcast_tensors *[tensors] -> 0
            meshgrid *[tensors] indexing -> 0
            atleast_1d *[tensors]
            atleast_2d *[tensors]
            atleast_3d *[tensors]
            cartesian_prod *[tensors]
            combinations input r with_replacement
            split tensor split_size_or_sections dim=0 -> 0
            where condition input other
            view_as_real input
            view_as_complex input
            real input
            imag input
            as_tensor data dtype device
            asarray obj
            channel_shuffle input groups
            constant_pad_nd=pad input pad value
            dropout input p ?train
            alpha_dropout=dropout input p ?train
            feature_dropout=dropout input p ?train
            feature_alpha_dropout=dropout input p ?train
            dropout_ input p ?train
            """,
        Kind.AFFINE: """
            conv1d input weight bias stride padding dilation groups
            conv2d input weight bias stride padding dilation groups
            conv3d input weight bias stride padding dilation groups
            conv_transpose1d input weight bias stride padding output_padding groups dilation
            conv_transpose2d input weight bias stride padding output_padding groups dilation
            conv_transpose3d input weight bias stride padding output_padding groups dilation
            conv_tbc input weight bias pad
            bilinear input1 input2 weight bias
            """,
        Kind.ACTIVATION: """
            celu input alpha
            selu input
            selu_ input
            celu_ input alpha
            rrelu input lower upper ?training
            threshold input threshold value
            """,
        Kind.NORM: """
            batch_norm input weight bias running_mean running_var ?training momentum eps cudnn_enabled
            instance_norm input weight bias running_mean running_var ?use_input_stats momentum eps cudnn_enabled
            layer_norm input normalized_shape weight bias eps
            group_norm input num_groups weight bias eps
            rms_norm input normalized_shape weight eps
            """,
        Kind.RECURRENT: """
            rnn_tanh_cell=rnn_cell input hx w_ih w_hh b_ih b_hh
            rnn_relu_cell=rnn_cell input hx w_ih w_hh b_ih b_hh
            gru_cell input hx w_ih w_hh b_ih b_hh
            lstm_cell input hx w_ih w_hh b_ih b_hh -> 2
            """,
        Kind.POOL: """
            avg_pool1d input kernel_size stride padding ceil_mode count_include_pad
            adaptive_avg_pool1d input output_size
            max_pool1d input kernel_size stride padding dilation ceil_mode
            max_pool2d input kernel_size stride padding dilation ceil_mode
            max_pool3d input kernel_size stride padding dilation ceil_mode
            adaptive_max_pool1d input output_size -> 2
            """,
        Kind.RESAMPLE: """
            pixel_shuffle input upscale_factor
            pixel_unshuffle input downscale_factor
            grid_sampler=grid_sample input grid interpolation_mode padding_mode align_corners
            """,
        Kind.REDUCE: """
            std_mean input dim unbiased keepdim -> 2
            var_mean input dim unbiased keepdim -> 2
            cosine_similarity x1 x2 dim eps
            pairwise_distance x1 x2 p eps keepdim
            cdist x1 x2 p compute_mode
            pdist input p
            trapezoid y x dim
            """,
        Kind.ARITHMETIC: """
            einsum equation *[operands]
            tensordot a b dims
            chain_matmul=matmul *[matrices]
            polar abs angle
            complex real imag
            rsub input other alpha
            cumulative_trapezoid y x dim
            """,
        Kind.DECISION: """
            isin elements test_elements assume_unique invert
            bucketize input boundaries out_int32 right
            searchsorted sorted_sequence input out_int32 right side sorter
            poisson input generator
            """,
        Kind.SOURCE: """
            tensor data dtype device requires_grad
            scalar_tensor s
            from_numpy ndarray
            frombuffer buffer
            from_dlpack ext_tensor
            zeros *size
            ones *size
            empty *size
            full size fill_value
            zeros_like input
            ones_like input
            empty_like input
            full_like input fill_value
            rand *size
            randn *size
            randint low high size
            rand_like input
            randn_like input
            randint_like input low high
            randperm n
            normal mean std generator
            arange start end step
            range start end step
            linspace start end steps
            logspace start end steps base
            eye n m
            tril_indices row col offset
            triu_indices row col offset
            hann_window window_length periodic
            hamming_window window_length periodic
            load f map_location pickle_module weights_only mmap
            """,
    },
    "torch.autograd": {
        Kind.DETACH: """
            Variable=variable data requires_grad=False volatile
            """,
        Kind.SOURCE: """
            grad=gradients outputs inputs grad_outputs retain_graph create_graph -> 0
            """,
    },
    "torch.nn": {
        Kind.DETACH: """
            Parameter=parameter data requires_grad=True
            """,
        Kind.SOURCE: """
            UninitializedParameter=parameter requires_grad=True
            """,
    },
    "torch.nn.functional": {
        Kind.KEEP: """
            pad input pad mode value
            unfold=im2col input kernel_size dilation padding stride
            dropout input p=0.5 ?training=True inplace
            dropout1d=dropout input p=0.5 ?training=True inplace
            dropout2d=dropout input p=0.5 ?training=True inplace
            dropout3d=dropout input p=0.5 ?training=True inplace
            alpha_dropout=dropout input p=0.5 ?training=False inplace
            feature_alpha_dropout=dropout input p=0.5 ?training=False inplace
            channel_shuffle input groups
            native_channel_shuffle=channel_shuffle input groups
            """,
        Kind.AFFINE: """
            linear input weight bias
            bilinear input1 input2 weight bias
            conv1d input weight bias stride padding dilation groups
            conv2d input weight bias stride padding dilation groups
            conv3d input weight bias stride padding dilation groups
            conv_transpose1d input weight bias stride padding output_padding groups dilation
            conv_transpose2d input weight bias stride padding output_padding groups dilation
            conv_transpose3d input weight bias stride padding output_padding groups dilation
            conv_tbc input weight bias pad
            embedding input weight padding_idx max_norm norm_type scale_grad_by_freq sparse
            embedding_bag input weight offsets max_norm norm_type scale_grad_by_freq mode sparse per_sample_weights
            """,
        Kind.PROBABILITY: """
            softmax input dim=None _stacklevel dtype
            softmin input dim=None _stacklevel dtype
            gumbel_softmax logits tau hard eps dim=-1
            sigmoid input
            hardsigmoid input inplace
            """,
        Kind.LOG_PROBABILITY: """
            log_softmax input dim=None _stacklevel dtype
            logsigmoid input
            """,
        Kind.ACTIVATION: """
            relu input inplace
            relu_ input
            relu6 input inplace
            leaky_relu input negative_slope inplace
            leaky_relu_ input negative_slope
            prelu input weight
            rrelu input lower upper ?training=False inplace
            rrelu_ input lower upper ?training=False
            elu input alpha inplace
            elu_ input alpha
            selu input inplace
            selu_ input
            celu input alpha inplace
            celu_ input alpha
            gelu input approximate
            silu input inplace
            mish input inplace
            hardswish input inplace
            hardtanh input min_val max_val inplace
            hardtanh_ input min_val max_val
            hardshrink input lambd
            softshrink input lambd
            tanhshrink input
            tanh input
            softsign input
            softplus input beta threshold
            threshold input threshold value inplace
            threshold_ input threshold value
            glu input dim=-1
            """,
        Kind.NORM: """
            batch_norm input running_mean running_var weight bias ?training=False momentum eps
            instance_norm input running_mean running_var weight bias ?use_input_stats=True momentum eps
            layer_norm input normalized_shape weight bias eps
            group_norm input num_groups weight bias eps
            rms_norm input normalized_shape weight eps
            local_response_norm input size alpha beta k
            normalize input p=2.0 dim=1 eps
            """,
        Kind.ATTENTION: """
            scaled_dot_product_attention query key value attn_mask dropout_p=0.0 is_causal=False scale enable_gqa
            multi_head_attention_forward query key value embed_dim_to_check num_heads -> 2
            """,
        Kind.POOL: """
            max_pool1d input kernel_size stride padding dilation ceil_mode return_indices
            max_pool2d input kernel_size stride padding dilation ceil_mode return_indices
            max_pool3d input kernel_size stride padding dilation ceil_mode return_indices
            max_pool1d_with_indices=max_pool1d input kernel_size stride padding dilation ceil_mode return_indices -> 2
            max_pool2d_with_indices=max_pool2d input kernel_size stride padding dilation ceil_mode return_indices -> 2
            max_pool3d_with_indices=max_pool3d input kernel_size stride padding dilation ceil_mode return_indices -> 2
            avg_pool1d input kernel_size stride padding ceil_mode count_include_pad
            avg_pool2d input kernel_size stride padding ceil_mode count_include_pad divisor_override
            avg_pool3d input kernel_size stride padding ceil_mode count_include_pad divisor_override
            lp_pool1d input norm_type kernel_size stride ceil_mode
            lp_pool2d input norm_type kernel_size stride ceil_mode
            lp_pool3d input norm_type kernel_size stride ceil_mode
            adaptive_avg_pool1d input output_size
            adaptive_avg_pool2d input output_size
            adaptive_avg_pool3d input output_size
            adaptive_max_pool1d input output_size return_indices
            adaptive_max_pool2d input output_size return_indices
            adaptive_max_pool3d input output_size return_indices
            fractional_max_pool2d input kernel_size output_size output_ratio return_indices
            fractional_max_pool3d input kernel_size output_size output_ratio return_indices
            """,
        Kind.RESAMPLE: """
            interpolate input size scale_factor mode align_corners recompute_scale_factor antialias
            upsample=interpolate input size scale_factor mode align_corners
            upsample_nearest=interpolate input size scale_factor
            upsample_bilinear=interpolate input size scale_factor
            pixel_shuffle input upscale_factor
            pixel_unshuffle input downscale_factor
            grid_sample input grid mode padding_mode align_corners
            max_unpool1d input indices kernel_size stride padding output_size
            max_unpool2d input indices kernel_size stride padding output_size
            max_unpool3d input indices kernel_size stride padding output_size
            """,
        Kind.REDUCE: """
            cosine_similarity x1 x2 dim eps
            pairwise_distance x1 x2 p eps keepdim
            pdist input p
            """,
        Kind.ARITHMETIC: """
            fold=col2im input output_size kernel_size dilation padding stride
            affine_grid theta size align_corners
            """,
        Kind.DECISION: """
            one_hot tensor num_classes
            """,
    },
    "torch.nn.init": {
        Kind.SOURCE: """
            uniform_ tensor a b
            normal_ tensor mean std
            trunc_normal_ tensor mean std a b
            constant_ tensor val
            ones_ tensor
            zeros_ tensor
            eye_ tensor
            dirac_ tensor groups
            xavier_uniform_ tensor gain
            xavier_normal_ tensor gain
            kaiming_uniform_ tensor a mode nonlinearity
            kaiming_normal_ tensor a mode nonlinearity
            orthogonal_ tensor gain
            sparse_ tensor sparsity std
            """,
    },
    "torch.nn.utils": {
        Kind.KEEP: """
            parameters_to_vector [parameters]
            """,
    },
    "torch.nn.utils.rnn": {
        Kind.KEEP: """
            pad_sequence [sequences] batch_first=False padding_value padding_side
            unpad_sequence padded_sequences lengths batch_first=False -> 0
            pack_sequence [sequences] enforce_sorted
            pack_padded_sequence input lengths batch_first=False enforce_sorted
            pad_packed_sequence sequence batch_first=False padding_value total_length -> 2
            """,
    },
    "torch.special": {
        Kind.PROBABILITY: """
            expit=sigmoid input
            softmax input dim dtype
            """,
        Kind.LOG_PROBABILITY: """
            log_softmax input dim dtype
            """,
        Kind.REDUCE: """
            logsumexp input dim keepdim
            """,
        Kind.EXP: """
            exp2 input
            """,
        Kind.ARITHMETIC: """
            logit input eps
            log1p input
            expm1 input
            xlogy input other
            xlog1py input other
            entr input
            erf input
            erfc input
            erfcx input
            erfinv input
            ndtr input
            ndtri input
            log_ndtr input
            sinc input
            digamma input
            psi=digamma input
            gammaln=lgamma input
            gammainc=igamma input other
            gammaincc=igammac input other
            multigammaln=mvlgamma input p
            polygamma n input
            zeta input other
            i0 input
            i0e input
            i1 input
            i1e input
            bessel_j0 input
            bessel_j1 input
            bessel_y0 input
            bessel_y1 input
            """,
        Kind.DECISION: """
            round input decimals
            """,
    },
    "torch.fft": {
        Kind.KEEP: """
            fftshift=roll input dim
            ifftshift=roll input dim
            """,
        Kind.ARITHMETIC: """
            fft input n dim norm
            ifft input n dim norm
            rfft input n dim norm
            irfft input n dim norm
            hfft input n dim norm
            ihfft input n dim norm
            fft2 input s dim norm
            ifft2 input s dim norm
            rfft2 input s dim norm
            irfft2 input s dim norm
            hfft2 input s dim norm
            ihfft2 input s dim norm
            fftn input s dim norm
            ifftn input s dim norm
            rfftn input s dim norm
            irfftn input s dim norm
            hfftn input s dim norm
            ihfftn input s dim norm
            """,
        Kind.SOURCE: """
            fftfreq n d
            rfftfreq n d
            """,
    },
    "torch.linalg": {
        Kind.KEEP: """
            diagonal A offset dim1 dim2
            """,
        Kind.REDUCE: """
            norm A ord dim keepdim dtype
            vector_norm x ord dim keepdim dtype
            matrix_norm A ord dim keepdim dtype
            det A
            slogdet A -> 2
            cond A p
            svdvals A driver
            eigvals A
            eigvalsh A UPLO
            vecdot x y dim
            """,
        Kind.ARITHMETIC: """
            matmul input other
            multi_dot=matmul [tensors]
            cross input other dim
            inv=inverse A
            pinv=inverse A atol rtol hermitian
            solve A B left
            solve_triangular A B upper left unitriangular
            lstsq A B rcond driver -> 4
            matrix_exp A
            matrix_power A n
            cholesky A upper
            qr A mode -> 2
            svd A full_matrices driver -> 3
            eig A -> 2
            eigh A UPLO -> 2
            lu A pivot -> 3
            lu_solve LU pivots B left adjoint
            vander x N
            """,
        Kind.DECISION: """
            matrix_rank A atol rtol hermitian
            """,
    },
    "numpy": {
        Kind.KEEP: """
            reshape a shape order
            transpose=permute a axes=None
            permute_dims=permute a axes=None
            swapaxes=transpose a axis1 axis2
            moveaxis=movedim a source destination
            rollaxis=movedim a axis start
            expand_dims=unsqueeze a axis
            squeeze a axis=None
            ravel=flatten a order
            broadcast_to array shape
            concatenate=cat [arrays] axis=0
            stack [arrays] axis=0
            hstack [tup]
            vstack [tup]
            dstack [tup]
            column_stack [tup]
            split ary indices_or_sections axis=0 -> 0
            array_split=split ary indices_or_sections axis=0 -> 0
            repeat=repeat_interleave a repeats axis=None
            tile A reps
            flip m axis
            fliplr m
            flipud m
            rot90 m k axes
            roll a shift axis
            pad array pad_width mode
            take a indices axis
            sort a axis=-1
            array=as_tensor object dtype
            asarray=as_tensor a dtype
            ascontiguousarray=contiguous a dtype
            copy=clone a order
            nan_to_num x copy nan posinf neginf
            """,
        Kind.REDUCE: """
            sum a axis=None dtype out keepdims
            mean a axis=None dtype out keepdims
            average=mean a axis=None weights
            median a axis=None
            std a axis=None dtype out ddof
            var a axis=None dtype out ddof
            prod a axis=None dtype out keepdims
            max a axis=None out keepdims
            min a axis=None out keepdims
            amax=max a axis=None out keepdims
            amin=min a axis=None out keepdims
            nanmean a axis=None dtype out keepdims
            nansum a axis=None dtype out keepdims
            percentile=quantile a q axis=None
            quantile a q axis=None
            """,
        Kind.LOG: """
            log x
            log2 x
            log10 x
            """,
        Kind.EXP: """
            exp x
            """,
        Kind.CLAMP: """
            clip=clamp a a_min a_max
            """,
        Kind.ACTIVATION: """
            tanh x
            """,
        Kind.ARITHMETIC: """
            abs x
            absolute=abs x
            sqrt x
            square x
            power=pow x1 x2
            add x1 x2
            subtract=sub x1 x2
            multiply=mul x1 x2
            divide=div x1 x2
            maximum x1 x2
            minimum x1 x2
            matmul x1 x2
            dot a b
            outer a b
            einsum subscripts *[operands]
            cumsum a axis=None
            log1p x
            expm1 x
            sin x
            cos x
            """,
        Kind.DECISION: """
            argmax a axis=None
            argmin a axis=None
            argsort a axis=-1
            argwhere a
            nonzero a
            unique ar
            round a decimals
            floor x
            ceil x
            rint=round x
            sign x
            isnan x
            isinf x
            isfinite x
            equal=eq x1 x2
            not_equal=ne x1 x2
            greater=gt x1 x2
            less=lt x1 x2
            logical_and x1 x2
            logical_or x1 x2
            logical_not x
            all a axis=None
            any a axis=None
            bincount x
            """,
        Kind.SOURCE: """
            zeros shape dtype
            ones shape dtype
            empty shape dtype
            full shape fill_value dtype
            zeros_like a
            ones_like a
            full_like a fill_value
            arange start stop step
            linspace start stop num
            eye N M
            load file
            loadtxt fname
            frombuffer buffer
            fromfile file
            """,
    },
    "numpy.random": {
        Kind.SOURCE: """
            rand *size
            randn *size
            randint low high size
            integers low high size
            random size
            random_sample=random size
            uniform low high size
            normal loc scale size
            standard_normal size
            permutation x
            choice a size replace p
            """,
    },
    "einops": {
        Kind.KEEP: """
            rearrange tensor pattern
            repeat=einops.repeat tensor pattern
            pack=einops.pack [tensors] pattern -> 2
            unpack=einops.unpack tensor packed_shapes pattern -> 0
            """,
        Kind.REDUCE: """
            reduce=einops.reduce tensor pattern reduction
            """,
        Kind.ARITHMETIC: """
            einsum=einops.einsum *[tensors]
            """,
    },
    "torchvision.ops": {
        Kind.KEEP: """
            stochastic_depth=dropout input p mode ?training=True
            drop_block2d=dropout input p block_size inplace eps ?training=True
            drop_block3d=dropout input p block_size inplace eps ?training=True
            """,
        Kind.AFFINE: """
            deform_conv2d input offset weight bias stride padding dilation mask
            """,
        Kind.POOL: """
            roi_pool input boxes output_size spatial_scale
            ps_roi_pool input boxes output_size spatial_scale
            """,
        Kind.RESAMPLE: """
            roi_align input boxes output_size spatial_scale sampling_ratio aligned
            ps_roi_align input boxes output_size spatial_scale sampling_ratio
            """,
        Kind.CLAMP: """
            clip_boxes_to_image boxes size
            """,
        Kind.ARITHMETIC: """
            box_area boxes
            box_convert boxes in_fmt out_fmt
            box_iou boxes1 boxes2
            generalized_box_iou boxes1 boxes2
            distance_box_iou boxes1 boxes2
            complete_box_iou boxes1 boxes2
            """,
        Kind.DECISION: """
            nms boxes scores iou_threshold
            batched_nms boxes scores idxs iou_threshold
            remove_small_boxes boxes min_size
            masks_to_boxes masks
            """,
    },
    "torch_geometric.nn": {
        Kind.POOL: """
            global_mean_pool x batch size
            global_max_pool x batch size
            global_add_pool x batch size
            """,
    },
    "torch_geometric.utils": {
        Kind.PROBABILITY: """
            softmax=segment_softmax src index ptr num_nodes dim
            """,
    },
    "torch_scatter": {
        Kind.REDUCE: """
            scatter=segment_reduce src index dim out dim_size reduce
            scatter_sum=segment_reduce src index dim out dim_size
            scatter_add=segment_reduce src index dim out dim_size
            scatter_mean=segment_reduce src index dim out dim_size
            scatter_max=segment_reduce src index dim out dim_size -> 2
            scatter_min=segment_reduce src index dim out dim_size -> 2
            """,
    },
    "torch_scatter.composite": {
        Kind.PROBABILITY: """
            scatter_softmax=segment_softmax src index dim dim_size
            """,
        Kind.LOG_PROBABILITY: """
            scatter_log_softmax=segment_log_softmax src index dim eps dim_size
            """,
    },
    "entmax": {
        Kind.PROBABILITY: """
            sparsemax X dim=-1
            entmax15 X dim=-1
            entmax_bisect X alpha dim=-1
            """,
    },
    "timm.layers": {
        Kind.KEEP: """
            drop_path=dropout x drop_prob=0.0 ?training=False scale_by_keep
            drop_block_2d=dropout x drop_prob
            """,
        Kind.SOURCE: """
            trunc_normal_ tensor mean std a b
            lecun_normal_ tensor
            """,
    },
}

FUNCTIONS: dict[str, Op] = {f"torch.{name}": op for kind, text in _BOTH.items() for name, op in operations(kind, text, ("input",))} | {
    f"{module}.{name}": op for module, kinds in _FUNCTIONS.items() for kind, text in kinds.items() for name, op in operations(kind, text)
}

METHODS: dict[str, Op] = {name: op for table in (_BOTH, _METHODS) for kind, text in table.items() for name, op in operations(kind, text)}

ATTRIBUTES: dict[str, Op] = {name: op for kind, text in _ATTRIBUTES.items() for name, op in operations(kind, text)}

ARRAY_METHODS: dict[str, Op] = {name: op for kind, text in _ARRAY.items() for name, op in operations(kind, text)}

# Canonical names of the operations that return a pair (values, indices) where a dim is given, one tensor where none is.
PAIR_WITH_DIM: frozenset[str] = frozenset({"max", "min", "median", "nanmedian"})
