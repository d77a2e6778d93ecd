using System.Text.RegularExpressions;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.S3Gen;
using Chatterbox.Weights;

namespace Chatterbox.Tests.S3Gen;

/// <summary>S3Gen with every size made small, for tests that need many runs or weights of their own choice.</summary>
internal static partial class TinyS3Gen
{
    public static S3GenConfig Standard { get; } =
        S3GenConfig.Standard with
        {
            SpeechTokens = 11,
            MelBands = 4,
            XVectorSize = 6,
            Encoder = new(InputSize: 16, Size: 16, Heads: 2, MlpSize: 32, Blocks: 2, UpBlocks: 1, PositionTable: 9),
            Estimator = new(Channels: 8, MiddleStages: 2, BlocksPerStage: 1, Heads: 2, HeadSize: 6),
        };

    public static S3GenConfig MeanFlow { get; } = Standard with { Flow = FlowConfig.MeanFlow };

    /// <summary>Weights for a model of these sizes.</summary>
    /// <param name="config">One of the configurations here.</param>
    /// <param name="zero">Names, after <c>flow.</c>, of tensors to be filled with zeros.</param>
    public static WeightStore Weights(S3GenConfig config, params string[] zero)
    {
        using var full = SyntheticTensors.FullSize(config.Flow.IsMeanFlow ? "s3gen_meanflow" : "s3gen");
        return new WeightStore(
            new SyntheticTensors(
                "tiny s3gen",
                full.Tensors.Keys.Where(name => IsIn(name))
                    .ToDictionary(
                        name => name,
                        name =>
                        {
                            var (info, offset, scale) = full[name];
                            var shape = info.Shape.Select(size => Shrink(name, size)).ToArray();
                            var shrunk = info
                                .Shape.Skip(1)
                                .Zip(shape.Skip(1))
                                .Aggregate(1.0, (ratio, sizes) => ratio * sizes.First / sizes.Second);
                            return zero.Contains(name["flow.".Length..])
                                ? new SyntheticTensor(new(info.DType, shape), 0, 0)
                                : new SyntheticTensor(new(info.DType, shape), offset, (float)(scale * Math.Sqrt(shrunk)));
                        }
                    )
            )
        );
    }

    public static S3GenModel Model(S3GenConfig config, WeightStore weights) => new(config, weights.Root["flow"], TorchOps.Plain);

    /// <summary>A voice whose prompt has this many tokens and mel frames.</summary>
    public static S3GenPrompt Voice(int tokens, int frames) =>
        new(
            [.. Enumerable.Range(0, tokens).Select(i => 3 * i % Standard.SpeechTokens)],
            [.. Enumerable.Range(0, frames * Standard.MelBands).Select(i => MathF.Sin(i))],
            [.. Enumerable.Range(0, Standard.XVectorSize).Select(i => MathF.Cos(i))]
        );

    [GeneratedRegex(
        @"^flow\.(?!encoder\.encoders\.[2-9]|encoder\.up_encoders\.[1-9]|decoder\.estimator\.mid_blocks\.([2-9]|1\d)\.|decoder\.estimator\.\w+_blocks\.\d\.1\.[1-9])"
    )]
    private static partial Regex Names();

    private static bool IsIn(string name) => Names().IsMatch(name);

    private static long Shrink(string name, long size) =>
        (name.Contains("estimator", StringComparison.Ordinal), size) switch
        {
            (_, 80) => 4,
            (true, 256) => 8,
            (true, 320) => 16,
            (true, 512) => name.Contains("attn1", StringComparison.Ordinal) ? 12 : 16,
            (true, 1024) => 32,
            (true, 2048) => 64,
            (false, 8) => 2,
            (false, 64) => 8,
            (false, 192) => 6,
            (false, 512) => 16,
            (false, 2048) => 32,
            (false, 6561) => 11,
            _ => size,
        };
}
