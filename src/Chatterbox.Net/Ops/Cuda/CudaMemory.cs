using System.Runtime.InteropServices;

namespace Chatterbox.Ops.Cuda;

/// <summary>Where tensors lie, for kernels.</summary>
internal static partial class CudaMemory
{
    /// <summary>Address of a tensor's first element. Only a contiguous tensor can be read by its address alone.</summary>
    public static nint Address(this Tensor tensor) => Data(tensor.Handle);

    // TorchSharp itself gives out addresses of CPU tensors only.
    [LibraryImport("LibTorchSharp", EntryPoint = "THSTensor_data")]
    private static partial nint Data(nint tensor);
}
