using Chatterbox.Ops.Cuda;

namespace Chatterbox.Tests.Ops;

public class HostTransfersTests
{
    [Fact]
    public void Numbers_come_back_as_they_went() => RoundTrips(CPU);

    [Fact]
    public void Numbers_come_back_from_a_GPU_as_they_went() => RoundTrips(Gpu.Required());

    private static void RoundTrips(Device device)
    {
        var random = new Random(1);
        foreach (var count in new[] { 0, 1, 5, 100_000, 3, 250_000, 250_001, 7 })
        {
            using var scope = NewDisposeScope();
            float[] numbers = [.. Enumerable.Range(0, count).Select(_ => random.NextSingle())];
            var placed = HostTransfers.Place(numbers, device);
            var others = HostTransfers.Place(new float[count], device);
            Assert.Equal(device.type, placed.device_type);
            Assert.Equal([count], placed.shape);
            Assert.Equal(numbers, HostTransfers.Read(placed));
            Assert.All(HostTransfers.Read(others), number => Assert.Equal(0, number));
        }
    }
}
