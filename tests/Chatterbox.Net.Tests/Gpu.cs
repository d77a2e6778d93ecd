namespace Chatterbox.Tests;

/// <summary>The GPU of tests that need one.</summary>
internal static class Gpu
{
    /// <summary>The first GPU; the test is skipped, saying why, where there is none.</summary>
    public static Device Required()
    {
        Assert.SkipUnless(TryInitializeDeviceType(DeviceType.CUDA), "There is no CUDA GPU here, or this build has no CUDA.");
        return new(DeviceType.CUDA, 0);
    }
}
