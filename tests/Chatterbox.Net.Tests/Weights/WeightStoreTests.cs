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

    [Fact]
    public void Weights_that_pass_through_the_host_go_without_the_rest()
    {
        using var store = new WeightStore(Source(("a.weight", [4, 3]), ("a.bias", [4]), ("b.weight", [4, 3]), ("b.bias", [4])));
        var stays = new Linear(store.Root["a"], 3, 4);
        Linear passes;
        using (var passing = new OwnedWeights())
        {
            passes = new(store.Root["b"].InHost(passing), 3, 4);
            Assert.False(passes.Weight.IsInvalid);
        }

        Assert.True(passes.Weight.IsInvalid);
        Assert.False(stays.Weight.IsInvalid);
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

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void A_file_of_any_type_gives_what_torch_makes_of_it(ScalarType stored)
    {
        using var scope = NewDisposeScope();
        var path = Path.GetTempFileName();
        var (a, b) = (randn(700, 1001).to(stored), randn(700, 1001).to(stored)); // some pieces long, the last one odd
        SafetensorsWriter.Write(
            path,
            [TensorToWrite.From("a.w", a), TensorToWrite.From("b.w", b), TensorToWrite.From("n", tensor(new[] { 5L, 7 }))]
        );
        foreach (var wanted in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            using var store = new WeightStore(SafetensorsFile.Open(path), CPU, wanted);
            AssertSame(a.to(wanted), store.Root["a"].Get("w", 700, 1001));
            AssertSame(cat([b, a]).to(wanted), store.Root.GetStacked(["b", "a"], "w", 700, 1001));
            AssertSame(tensor(new[] { 5L, 7 }), store.Root.Get("n", 2));
        }

        File.Delete(path);
    }

    [Fact]
    public void A_torch_file_is_converted_too_views_and_all()
    {
        using var scope = NewDisposeScope();
        var path = Path.GetTempFileName();
        var elements = arange(12, ScalarType.Float32);
        File.WriteAllBytes(
            path,
            TorchArchive.Of(
                PickleWriter.Whole(p =>
                    p.Value(
                        new Dictionary<object, object?>
                        {
                            ["whole"] = (Action<PickleWriter>)(w => w.Tensor("FloatStorage", "0", 12, 0, [12], [1])),
                            ["transposed"] = (Action<PickleWriter>)(w => w.Tensor("FloatStorage", "0", 12, 0, [4, 3], [1, 4])),
                        }
                    )
                ),
                ("0", elements.bytes.ToArray())
            )
        );
        using (var store = new WeightStore(TorchFile.Open(path), CPU, ScalarType.BFloat16))
        {
            AssertSame(elements.to(ScalarType.BFloat16), store.Root.Get("whole", 12));
            AssertSame(elements.reshape(3, 4).t().contiguous().to(ScalarType.BFloat16), store.Root.Get("transposed", 4, 3));
        }

        File.Delete(path);
    }

    [Fact]
    public void A_file_that_is_cut_off_while_it_is_read_is_an_error()
    {
        using var scope = NewDisposeScope();
        var path = Path.GetTempFileName();
        SafetensorsWriter.Write(path, [TensorToWrite.From("a", zeros(2_000_000))]);
        using (var store = new WeightStore(SafetensorsFile.Open(path)))
        {
            using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            {
                file.SetLength(5_000_000);
            }

            Assert.Contains(
                $"{path} cannot be read: it ends at byte 5000000",
                Assert.Throws<CheckpointException>(() => store.Root.Get("a", 2_000_000)).Message,
                StringComparison.Ordinal
            );
        }

        File.Delete(path);
    }

    [Fact]
    public void The_store_frees_what_it_handed_out()
    {
        var before = LiveTensors.Settled();
        using (var store = new WeightStore(Source(("a.weight", [4, 3]), ("a.bias", [4]))))
        {
            _ = new Linear(store.Root["a"], 3, 4);
            Assert.True(Tensor.TotalCount > before);
        }

        Assert.Equal(before, Tensor.TotalCount);
    }

    private static void AssertSame(Tensor expected, Tensor actual)
    {
        Assert.Equal((expected.dtype, string.Join(',', expected.shape)), (actual.dtype, string.Join(',', actual.shape)));
        Assert.True(expected.bytes.SequenceEqual(actual.bytes));
    }

    private static SyntheticTensors Source(params (string Name, long[] Shape)[] tensors) =>
        new("test.safetensors", tensors.ToDictionary(t => t.Name, t => new SyntheticTensor(new(ScalarType.Float32, t.Shape), 0, 1)));
}
