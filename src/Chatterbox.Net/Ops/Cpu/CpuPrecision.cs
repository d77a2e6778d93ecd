using System.Runtime.Intrinsics.X86;

namespace Chatterbox.Ops.Cpu;

/// <summary>In which element type a CPU multiplies large matrices.</summary>
internal static class CpuPrecision
{
    private const int FeatureLeaf = 7;
    private const int AmxBit = 1 << 22,
        Avx512Bit = 1 << 5; // of CPUID leaf 7: EDX of part 0, EAX of part 1

    /// <summary>True where the processor multiplies bfloat16 numbers itself (AMX or AVX-512); elsewhere torch imitates it, slower than
    /// float32.</summary>
    public static bool MultipliesBFloat16 { get; } =
        X86Base.IsSupported
        && X86Base.CpuId(0, 0).Eax >= FeatureLeaf
        && Avx512F.IsSupported
        && ((X86Base.CpuId(FeatureLeaf, 0).Edx & AmxBit) != 0 || (X86Base.CpuId(FeatureLeaf, 1).Eax & Avx512Bit) != 0);

    /// <summary>The element type of the operands of large products whose results are added up in float32.</summary>
    /// <param name="device">Where they are computed.</param>
    /// <param name="precision">How exactly.</param>
    /// <param name="otherwise">The type on other devices, on other processors and in full precision.</param>
    public static ScalarType Products(Device device, Precision precision, ScalarType otherwise) =>
        device.type == DeviceType.CPU && precision == Precision.Fast && MultipliesBFloat16 ? ScalarType.BFloat16 : otherwise;

    /// <summary>The kernels of T3's steps in words: element type of the weights and width of the vectors.</summary>
    public static string Describe(WeightFormat format) =>
        $"weights in {(format == WeightFormat.Int8 ? "int8" : format == WeightFormat.BFloat16 ? "bfloat16" : "float32")}, vectors of "
        + $"{RowProducts.VectorBits} bits, {WorkerPool.Shared.Threads} threads";
}
