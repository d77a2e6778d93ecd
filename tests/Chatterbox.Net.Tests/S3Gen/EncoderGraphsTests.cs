using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Tests.Parity;
using Chatterbox.Weights;

namespace Chatterbox.Tests.S3Gen;

/// <summary>The encoder as graphs against the plain operations, at full size.</summary>
public class EncoderGraphsTests
{
    private const double Bound = 1e-5;

    [Fact]
    public void Any_number_of_tokens_is_encoded_as_by_the_plain_operations()
    {
        var device = Gpu.Required();
        using var mode = inference_mode();
        using var store = new WeightStore(SyntheticTensors.FullSize("s3gen_meanflow"), device);
        var s3gen = new S3GenModel(S3GenConfig.MeanFlow, store.Root["flow"], TorchOps.Plain, Precision.Fast);
        Assert.Null(s3gen.WhyNoEncoderGraphs);
        var random = new Random(11);
        int[] lengths = [500, 768, 769, 1, 4, 64, 65, 128, .. Enumerable.Range(0, 16).Select(_ => random.Next(5, 700))];
        var worst = 0.0;
        foreach (var length in lengths)
        {
            using var scope = NewDisposeScope();
            int[] tokens = [.. Enumerable.Range(0, length).Select(_ => random.Next(6561))];
            foreach (var complete in length > 3 ? new[] { true, false } : [true])
            {
                var plain = s3gen.Project(s3gen.Encode(tokens, complete));
                var ours = s3gen.EncodeToMu(tokens, complete);
                Assert.Equal(plain.shape, ours.shape);
                worst = Math.Max(worst, Close.RelativeError(plain, ours));
            }
        }

        Close.Report($"mu: worst relative error {worst:E2} (bound {Bound:E0})");
        Assert.True(worst <= Bound, $"mu: relative error {worst:E3} exceeds {Bound:E0}");
    }
}
