using Chatterbox.Layers;
using Chatterbox.Models;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Weights;

public class WeightStoreTests
{
    [Fact]
    public void All_faults_of_a_file_stand_in_one_message()
    {
        using var store = new WeightStore(Source(("a.weight", [2, 3]), ("a.bias", [2]), ("stray", [1])));
        _ = new Linear(store.Root["a"], 3, 4);
        _ = new Linear(store.Root["missing"], 3, 4);
        var message = Assert.Throws<CheckpointException>(store.ThrowIfFaulty).Message;
        Assert.Contains("'a.weight' has shape [2, 3], expected [4, 3]", message, StringComparison.Ordinal);
        Assert.Contains("'a.bias' has shape [2], expected [4]", message, StringComparison.Ordinal);
        Assert.Contains("'missing.weight' [4, 3] is missing", message, StringComparison.Ordinal);
        Assert.Contains("'stray' is not part of this model", message, StringComparison.Ordinal);
        Assert.StartsWith("test.safetensors", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_fits_is_quiet_and_skipped_tensors_are_not_read()
    {
        using var store = new WeightStore(Source(("a.weight", [4, 3]), ("a.bias", [4]), ("dead.0.x", [9]), ("dead.1.x", [9])));
        _ = new Linear(store.Root["a"], 3, 4);
        store.Root.Skip("dead.*");
        store.ThrowIfFaulty();
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void Floating_point_weights_take_the_type_asked_for(ScalarType dtype)
    {
        using var store = new WeightStore(Source(("a", [4])), CPU, dtype);
        Assert.Equal(dtype, store.Root.Get("a", 4).dtype);
    }

    [Fact]
    public void The_store_frees_what_it_handed_out()
    {
        var before = Tensor.TotalCount;
        using (var store = new WeightStore(Source(("a.weight", [4, 3]), ("a.bias", [4]))))
        {
            _ = new Linear(store.Root["a"], 3, 4);
            Assert.True(Tensor.TotalCount > before);
        }

        Assert.Equal(before, Tensor.TotalCount);
    }

    private static SyntheticTensors Source(params (string Name, long[] Shape)[] tensors) =>
        new("test.safetensors", tensors.ToDictionary(t => t.Name, t => new SyntheticTensor(new(ScalarType.Float32, t.Shape), 0, 1)));
}
