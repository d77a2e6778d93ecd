using System.Runtime.InteropServices;

namespace Chatterbox.Ops;

/// <summary>NNPACK, libtorch's third library of convolutions on the CPU. It is switched off: it supports few processors, and on others
/// libtorch prints a warning for each convolution that it considers NNPACK for.</summary>
/// <remarks>torch.backends.nnpack of Python, which TorchSharp lacks: setUserEnabledNNPACK of pytorch's ATen/Context.h.</remarks>
internal static unsafe class Nnpack
{
    private static readonly Lazy<bool> Disabled = new(Disable);

    /// <summary>Switches it off for the process, once. Does nothing where this libtorch has no such switch.</summary>
    public static void SwitchOff() => _ = Disabled.Value;

    private static bool Disable()
    {
        InitializeDeviceType(DeviceType.CPU); // TorchSharp loads libtorch
        if (
            !NativeLibrary.TryLoad("libtorch_cpu.so", typeof(torch).Assembly, null, out var library)
            || !NativeLibrary.TryGetExport(library, "_ZN2at13globalContextEv", out var context)
            || !NativeLibrary.TryGetExport(library, "_ZN2at7Context20setUserEnabledNNPACKEb", out var set)
        )
        {
            return false;
        }

        ((delegate* unmanaged<nint, byte, void>)set)(((delegate* unmanaged<nint>)context)(), 0);
        return true;
    }
}
