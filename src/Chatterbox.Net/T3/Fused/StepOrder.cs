namespace Chatterbox.T3.Fused;

/// <summary>What decides the order in which a step's kernels add, the same for a step of one sequence and of many; t3_order.cuh says
/// how.</summary>
internal static class StepOrder
{
    /// <summary>Shares that the inputs of a product are cut into, a warp each.</summary>
    public const int Warps = 8;

    /// <summary>Outputs of a product that are made together.</summary>
    public const int Outputs = 8;

    /// <summary>Parts that the heads of a sequence's rows are cut into in attention.</summary>
    public const int Parts = 8;

    /// <summary>Constants of the kernels.</summary>
    public static readonly (string Name, double Value)[] Constants =
    [
        ("WARPS", Warps),
        ("OUTPUTS", Outputs),
        ("PARTS", Parts),
        ("PAGE", KvPages.Positions),
    ];
}
