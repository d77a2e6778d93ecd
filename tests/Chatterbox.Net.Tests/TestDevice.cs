namespace Chatterbox.Tests;

/// <summary>Where the parity tests' networks are: on the device that CHATTERBOX_TEST_DEVICE names, or on the CPU.</summary>
internal static class TestDevice
{
    private static readonly Lazy<Device> Named = new(() =>
        Devices.Find(Environment.GetEnvironmentVariable("CHATTERBOX_TEST_DEVICE") ?? "cpu")
    );

    /// <summary>The device.</summary>
    public static Device Device => Named.Value;

    /// <summary>An input for a network there.</summary>
    public static Tensor Place(Tensor tensor) => tensor.to(Device);
}
