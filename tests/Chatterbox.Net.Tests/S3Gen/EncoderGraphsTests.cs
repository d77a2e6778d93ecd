using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;

namespace Chatterbox.Tests.S3Gen;

/// <summary>The encoder as graphs, with operands in fp16, against the plain operations in float32, at full size.</summary>
public class EncoderGraphsTests
{
    private const double Bound = 2e-3; // on the CPU the recorded encoder's error with operands in fp16 is 4.5e-4

    [Fact]
    public void Any_number_of_tokens_is_encoded_as_by_the_plain_operations()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var store = new WeightStore(SyntheticTensors.FullSize("s3gen_meanflow"), device);
        var s3gen = new S3GenModel(S3GenConfig.MeanFlow, store.Root["flow"], TorchOps.Plain, Precision.Fast);
        var plain = new S3GenModel(S3GenConfig.MeanFlow, store.Root["flow"], TorchOps.Plain);
        Assert.Null(s3gen.NoEncoderGraphsReason);
        Assert.NotNull(plain.NoEncoderGraphsReason);
        var random = new Random(11);
        int[] lengths = [500, 768, 769, 1001, 1, 4, 64, 65, 128, .. Enumerable.Range(0, 16).Select(_ => random.Next(5, 700))];
        var worst = 0.0;
        foreach (var length in lengths.Concat(lengths)) // the second time graphs are there
        {
            using var scope = NewDisposeScope();
            int[] tokens = [.. Enumerable.Range(0, length).Select(_ => random.Next(6561))];
            foreach (var complete in length > 3 ? new[] { true, false } : [true])
            {
                var expected = plain.Project(plain.Encode(tokens, complete));
                var ours = s3gen.Project(s3gen.Encode(tokens, complete));
                Assert.Equal(expected.shape, ours.shape);
                worst = Math.Max(worst, Close.RelativeError(expected, ours));
            }
        }

        Close.AssertWithin("mu, the worst", worst, Bound);
    }
}
