namespace Chatterbox.Ops.Cuda;

/// <summary>Operations on bfloat16 as one kernel each, those of ops.cu, where torch takes several: so a recorded prefill has a
/// third of the kernels. What they are not made for is left to the plain operations.</summary>
internal sealed class CudaOps : TorchOps
{
    private const int Threads = 128;

    private static readonly KernelSource Source = new("ops.cu", ("THREADS", Threads));

    private readonly CudaModule _kernels;

    /// <param name="device">The GPU.</param>
    /// <exception cref="CudaException">The kernels do not compile.</exception>
    public CudaOps(Device device) => _kernels = CudaModule.Get(Source, device);

    /// <summary>Why these kernels cannot be used on a device, or null.</summary>
    public static string? UnsupportedReason(Device device) => CudaModule.UnsupportedReason(Source, device);

    /// <inheritdoc/>
    public override Tensor RmsNorm(Tensor x, Tensor weight, double eps)
    {
        var size = x.shape[^1];
        if (!Fit(size, x, weight) || !x.is_contiguous())
        {
            return base.RmsNorm(x, weight, eps);
        }

        var y = empty_like(x);
        Launch(
            "rms_norm",
            x.numel() / size,
            x.device,
            new RmsNormArguments
            {
                X = x.Address(),
                Gain = weight.Address(),
                Y = y.Address(),
                Size = (int)size,
                Eps = (float)eps,
            }
        );
        return y;
    }

    /// <inheritdoc/>
    public override Tensor SiluGate(Tensor gate, Tensor up)
    {
        var (size, apart) = (gate.shape[^1], gate.stride(1));
        if (!Fit(size, gate, up) || !AreRows(gate, apart) || !AreRows(up, apart))
        {
            return base.SiluGate(gate, up);
        }

        var y = empty(gate.shape, gate.dtype, gate.device);
        Launch(
            "silu_gate",
            gate.numel() / size,
            gate.device,
            new SiluGateArguments
            {
                Gate = gate.Address(),
                Up = up.Address(),
                Y = y.Address(),
                Size = (int)size,
                Apart = (int)apart,
            }
        );
        return y;
    }

    /// <inheritdoc/>
    public override Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        var (head, apart) = (x.shape[3], x.stride(1));
        if (!Fit(head / 2, x, cos, sin) || x.stride(2) != head || !AreRows(x, apart) || !cos.is_contiguous() || !sin.is_contiguous())
        {
            return base.Rotate(x, cos, sin);
        }

        var y = empty(x.shape, x.dtype, x.device);
        Launch(
            "rotate",
            x.shape[0] * x.shape[1],
            x.device,
            new RotateArguments
            {
                X = x.Address(),
                Cosines = cos.Address(),
                Sines = sin.Address(),
                Y = y.Address(),
                Time = (int)x.shape[1],
                Size = (int)(x.shape[2] * head),
                Head = (int)head,
                Apart = (int)apart,
            }
        );
        return y;
    }

    private static bool Fit(long size, params ReadOnlySpan<Tensor> tensors)
    {
        foreach (var tensor in tensors)
        {
            if (
                tensor.dtype != ScalarType.BFloat16
                || tensor.device_type != DeviceType.CUDA
                || tensor.numel() == 0
                || tensor.Address() % (KernelSource.Vector * sizeof(short)) != 0
            )
            {
                return false;
            }
        }

        return size % KernelSource.Vector == 0;
    }

    /// <summary>True of [rows, time, …] where a time step's numbers lie side by side and the next step's so far behind.</summary>
    private static bool AreRows(Tensor x, long apart) =>
        x.stride(-1) == 1
        && x.stride(1) == apart
        && (x.shape[0] == 1 || x.stride(0) == x.shape[1] * apart)
        && apart % KernelSource.Vector == 0;

    private void Launch<T>(string kernel, long rows, Device device, T arguments)
        where T : unmanaged
    {
        using var context = CudaContext.Use(device.index);
        _kernels[kernel].Launch(new(rows, Threads), CudaStream.Current(device.index), arguments);
    }
}

// The parameters of the kernels.

[KernelStruct("ops.cu")]
internal struct RmsNormArguments
{
    public nint X,
        Gain,
        Y;
    public int Size;
    public float Eps;
}

[KernelStruct("ops.cu")]
internal struct SiluGateArguments
{
    public nint Gate,
        Up,
        Y;
    public int Size,
        Apart;
}

[KernelStruct("ops.cu")]
internal struct RotateArguments
{
    public nint X,
        Cosines,
        Sines,
        Y;
    public int Time,
        Size,
        Head,
        Apart;
}
