using Chatterbox.Ops.Cuda;

namespace Chatterbox;

/// <summary>Names of devices.</summary>
internal static class Devices
{
    /// <summary>The device of this name, or the best there is.</summary>
    /// <param name="name">cpu, cuda, cuda:N, or null.</param>
    /// <exception cref="UnavailableException">There is no such device here.</exception>
    public static Device Find(string? name)
    {
        name ??= ModelOptions.BestDevice();
        var (kind, number) = name.Split(':') is [var k, var n] ? (k, n) : (name, "0");
        if (!int.TryParse(number, out var index) || index < 0 || kind is not ("cpu" or "cuda") || (kind == "cpu" && name != "cpu"))
        {
            throw new UnavailableException($"The device '{name}' is not known. Use cpu, cuda, or cuda:1 for the second GPU.");
        }

        Nnpack.SwitchOff();
        if (kind == "cpu")
        {
            return CPU;
        }

        if (!TryInitializeDeviceType(DeviceType.CUDA) || index >= cuda.device_count())
        {
            throw new UnavailableException(
                $"The device '{name}' is not here: this build and machine have "
                    + $"{(cuda_is_available() ? $"{cuda.device_count()} CUDA GPU(s)" : "no CUDA")}. Use cpu, or build with "
                    + $"-p:TorchBackend=cuda on a machine with an NVIDIA driver."
            );
        }

        CublasMemory.Limit();

        // cuDNN would round the operands of convolutions to 10 bits; float32 means float32.
        backends.cuda.matmul.allow_tf32 = false;
        backends.cudnn.allow_tf32 = false;
        return new Device(DeviceType.CUDA, index);
    }
}
