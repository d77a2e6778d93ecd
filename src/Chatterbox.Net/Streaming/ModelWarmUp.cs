using System.Diagnostics;
using Chatterbox.Ops.Cuda;
using Chatterbox.T3;
using Chatterbox.Watermark;

namespace Chatterbox.Streaming;

/// <summary>Has a model speak to nobody, in nobody's voice: to measure how fast it is, and so that a GPU has everything ready
/// that is made when it is first used.</summary>
/// <param name="config">The variant.</param>
/// <param name="decoder">Text to speech tokens.</param>
/// <param name="speechDecoder">Speech tokens to sound.</param>
/// <param name="watermarker">Sound to marked sound.</param>
internal sealed class ModelWarmUp(ChatterboxConfig config, IT3Decoder decoder, SpeechDecoder speechDecoder, PerthWatermarker watermarker)
{
    private const int Repetitions = 3;
    private const int Steps = 40,
        FewSteps = 3;
    private const int PromptTokens = 10 * SpeechResult.TokensPerSecond; // of most voices
    private const int ShortPass = 8,
        LongPass = 128; // tokens that become sound
    private const int LongestPiece = 12 * SpeechResult.TokensPerSecond,
        LengthStep = 64;
    private const double SlowestStep = 1.0 / SpeechResult.TokensPerSecond;

    /// <summary>Nobody, with a prompt as long as most.</summary>
    public Voice Voice { get; } =
        new(
            new(new float[config.T3.SpeakerSize], Sounds(config, config.T3.PromptTokens)),
            new(
                Sounds(config, PromptTokens),
                new float[PromptTokens * config.S3Gen.Encoder.Upsampling * config.S3Gen.MelBands],
                [.. Enumerable.Repeat(1f, config.S3Gen.XVectorSize)]
            )
        );

    /// <summary>Measures how fast the model is. The fastest of some repetitions counts: others may be using the device, and what
    /// is used for the first time is slow.</summary>
    public ModelSpeed MeasurePace()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var step = MeasureStep();
        if (step >= SlowestStep)
        {
            return new(step, 0, 0); // slower than speech whatever a pass takes, and that may be half a minute
        }

        var passes = Enumerable.Range(0, Repetitions).Select(_ => MeasurePasses()).ToList();
        var (few, many) = (passes.Min(pass => pass.Short.Seconds), passes.Min(pass => pass.Long.Seconds));
        var each = Math.Max(0, (many - few) / (passes[0].Long.Tokens - passes[0].Short.Tokens));
        return new(step, Math.Max(0, few - (passes[0].Short.Tokens * each)), each);
    }

    /// <summary>Speaks pieces of all lengths, the longest first, so that memory is taken once.</summary>
    public void SpeakAllLengths()
    {
        using var mode = inference_mode();
        for (var tokens = LongestPiece; tokens > 0; tokens -= LengthStep)
        {
            using var scope = NewDisposeScope();
            using var noise = new NoiseSource(tokens);
            HostTransfers.Read(
                watermarker.Mark(speechDecoder.SpeakText(Sounds(config, tokens), Voice.S3Gen, noise), SpeechResult.SampleRate)
            );
        }
    }

    /// <summary>Seconds of a step of T3.</summary>
    private double MeasureStep() =>
        Enumerable
            .Range(0, Repetitions)
            .Min(repetition =>
            {
                using var noise = new NoiseSource(repetition);
                using var sequence = decoder.Start([1], Voice.T3, new SamplingOptions { MaxSpeechTokens = Steps }, noise);
                var (started, each) = (Stopwatch.GetTimestamp(), 0.0);
                while (!sequence.Finished && (sequence.SpeechTokens.Count < FewSteps || each < SlowestStep))
                {
                    decoder.Step(sequence);
                    each = Stopwatch.GetElapsedTime(started).TotalSeconds / Math.Max(1, sequence.SpeechTokens.Count);
                }

                return each;
            });

    /// <summary>A short pass, and a long one behind it: how many tokens each goes over, and its seconds.</summary>
    private ((int Tokens, double Seconds) Short, (int Tokens, double Seconds) Long) MeasurePasses()
    {
        using var assembler = new ChunkAssembler(
            config,
            speechDecoder,
            watermarker,
            Voice.S3Gen,
            seed: 1,
            new() { LeftContext = LongPass }
        );
        return (Measure(assembler.Lag + ShortPass), Measure(assembler.Lag + ShortPass + LongPass));

        (int Tokens, double Seconds) Measure(int spoken)
        {
            var started = Stopwatch.GetTimestamp();
            assembler.Next(Sounds(config, spoken), last: false, CancellationToken.None);
            return (assembler.PassTokens, Stopwatch.GetElapsedTime(started).TotalSeconds);
        }
    }

    /// <summary>Speech tokens of no meaning.</summary>
    private static int[] Sounds(ChatterboxConfig config, int count) =>
        [.. Enumerable.Range(0, count).Select(i => 37 * i % config.S3Gen.SpeechTokens)];
}
