namespace Chatterbox.Ops;

/// <summary>Kinds of operations that a device may get wrong.</summary>
[Flags]
internal enum OperationKinds
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Convolutions.</summary>
    Convolution = 1,

    /// <summary>Scaled dot-product attention.</summary>
    Attention = 2,

    /// <summary>Layer norm.</summary>
    LayerNorm = 4,

    /// <summary>Operations that only have kernels of their own on a GPU: RMS norm, rotation, gates, Snake.</summary>
    Elementwise = 8,

    /// <summary>Matrix products.</summary>
    Product = 16,

    /// <summary>The LSTM.</summary>
    Lstm = 32,

    /// <summary>Fourier transforms.</summary>
    Fourier = 64,

    /// <summary>Matrix products by the fused kernels: of flow, vocoder and watermark on a GPU, of T3's steps on a CPU.</summary>
    FusedProduct = 128,

    /// <summary>Attention by the fused kernels of T3's steps on a CPU.</summary>
    FusedAttention = 256,
}

/// <summary>Operations of which some kinds are computed from simpler ones, since the device gets them wrong.</summary>
/// <param name="usual">What the other kinds are computed by.</param>
/// <param name="avoided">The kinds that are computed from simpler operations.</param>
internal sealed class SaferOps(TorchOps usual, OperationKinds avoided) : TorchOps
{
    private readonly TorchOps _elementwise = avoided.HasFlag(OperationKinds.Elementwise) ? Plain : usual;

    /// <summary>How a kind is computed where it is avoided, or null where there is no other way.</summary>
    public static string? WayOf(OperationKinds kind) =>
        kind switch
        {
            OperationKinds.Convolution => "matrix products",
            OperationKinds.Attention => "products and a softmax",
            OperationKinds.LayerNorm => "a norm of simpler operations",
            OperationKinds.Elementwise => "torch's operations",
            _ => null,
        };

    /// <summary>Distinguishes networks that are shared between models.</summary>
    public override string ToString() => $"{usual} without {avoided}";

    /// <inheritdoc/>
    public override Tensor RmsNorm(Tensor x, Tensor weight, double eps) => _elementwise.RmsNorm(x, weight, eps);

    /// <inheritdoc/>
    public override Tensor Rotate(Tensor x, Tensor cos, Tensor sin) => _elementwise.Rotate(x, cos, sin);

    /// <inheritdoc/>
    public override Tensor SiluGate(Tensor gate, Tensor up) => _elementwise.SiluGate(gate, up);

    /// <inheritdoc/>
    public override Tensor Snake(Tensor x, Tensor alpha) => _elementwise.Snake(x, alpha);

    /// <inheritdoc/>
    public override Tensor Linear(Tensor x, Tensor weight, Tensor? bias) => usual.Linear(x, weight, bias);

    /// <inheritdoc/>
    public override Tensor Attention(Tensor q, Tensor k, Tensor v, Tensor? mask = null, bool causal = false)
    {
        if (!avoided.HasFlag(OperationKinds.Attention))
        {
            return usual.Attention(q, k, v, mask, causal);
        }

        using var scope = NewDisposeScope();
        var scores = matmul(q, k.transpose(-1, -2)).Div(Math.Sqrt(q.size(-1)));
        scores = mask is null ? scores : scores.Add(mask);
        if (causal)
        {
            var later = ones([q.size(-2), k.size(-2)], ScalarType.Bool, q.device).triu(1);
            scores = scores.MaskedFill(later, double.NegativeInfinity);
        }

        return matmul(scores.softmax(-1), v).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor LayerNorm(Tensor x, Tensor weight, Tensor bias, double eps)
    {
        if (!avoided.HasFlag(OperationKinds.LayerNorm))
        {
            return usual.LayerNorm(x, weight, bias, eps);
        }

        using var scope = NewDisposeScope();
        var wide = x.dtype == ScalarType.Float64 ? x : x.to(ScalarType.Float32);
        var centred = wide - wide.mean([-1], keepdim: true);
        var normed = centred * rsqrt(centred.Square().mean([-1], keepdim: true).Add(eps));
        return (normed * weight).Add(bias).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Convolve(
        Tensor x,
        Tensor weight,
        Tensor? bias,
        long stride = 1,
        long padding = 0,
        long dilation = 1,
        long groups = 1
    ) =>
        avoided.HasFlag(OperationKinds.Convolution)
            ? Convolution.Product(x, weight, bias, stride, padding, dilation, groups)
            : usual.Convolve(x, weight, bias, stride, padding, dilation, groups);

    /// <inheritdoc/>
    public override Tensor Convolve(Tensor x, Tensor weight, Tensor? bias, (long Height, long Width) stride, long padding) =>
        avoided.HasFlag(OperationKinds.Convolution)
            ? Convolution.Product(x, weight, bias, stride, padding)
            : usual.Convolve(x, weight, bias, stride, padding);

    /// <inheritdoc/>
    public override Tensor ConvolveTransposed(Tensor x, Tensor weight, Tensor bias, long stride, long padding) =>
        avoided.HasFlag(OperationKinds.Convolution)
            ? Convolution.TransposedProduct(x, weight, bias, stride, padding)
            : usual.ConvolveTransposed(x, weight, bias, stride, padding);
}
