using System.Diagnostics.Metrics;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Ops;
using Chatterbox.Streaming;
using Chatterbox.T3;
using Chatterbox.Tests.Engine;
using Chatterbox.Tests.Models;
using Chatterbox.Tests.Streaming;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests;

/// <summary>Networks whose output is not finite: it never becomes audio, and where only the fast path fails, the plain one takes
/// over.</summary>
public sealed class InvalidOutputTests
{
    private const string Text = "The quick brown fox jumps over the lay dog.";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory, InlineData("tiny", 0), InlineData("tiny", 1), InlineData("tiny-turbo", 1)]
    public void Text_that_T3_fails_at_is_continued_by_the_plain_operations_as_if_nothing_had_been(string model, double temperature)
    {
        using var clean = new TinySpeechDecoder(model);
        var sampling = new SamplingOptions { Temperature = temperature, MaxSpeechTokens = 30 };
        var expected = Generate(clean.Decoder, sampling);
        Assert.False(expected.Recovered);

        // At once, and from the token behind the last that is drawn for the first time.
        var late = expected.SpeechTokens[..^1].Distinct().Last();
        foreach (var token in new[] { clean.Config.T3.StartSpeechToken, late })
        {
            using var faulty = new TinySpeechDecoder(model, Poisoned("speech_emb.weight", token));
            var t3 = new T3Model(clean.Config.T3, faulty.T3Weights, TorchOps.Plain) { Plain = () => clean.T3 };
            using var decoder = t3.CreateDecoder();
            var recovered = Generate(decoder, sampling);
            Assert.True(recovered.Recovered);
            Assert.Equal(expected.SpeechTokens, recovered.SpeechTokens);
            Assert.Equal(SynthesisStage.T3, Assert.Throws<InvalidOutputException>(() => Generate(faulty.Decoder, sampling)).Stage);
        }

        T3Result Generate(IT3Decoder decoder, SamplingOptions options)
        {
            using var noise = new NoiseSource(3);
            return decoder.Generate([5, 9, 33, 20], clean.Voice.T3, options, noise, cancellationToken: Cancel);
        }
    }

    [Theory]
    [InlineData("flow.encoder_proj.weight", SynthesisStage.S3Gen)]
    [InlineData("mel2wav.conv_post.bias", SynthesisStage.HiFT)]
    public void Speech_that_a_network_fails_at_is_made_by_the_plain_operations(string tensor, SynthesisStage stage)
    {
        using var clean = new TinySpeechDecoder("tiny");
        using var faulty = new TinySpeechDecoder("tiny", Poisoned(tensor));
        var tokens = clean.Tokens(1, 30);
        var expected = Speak(clean.SpeechDecoder);
        Assert.Null(expected.Recovered);
        var speech = Speak(Healing(faulty, clean));
        Assert.Equal(stage, speech.Recovered);
        Assert.Equal(expected.Samples, speech.Samples);
        Assert.Equal(stage, Assert.Throws<InvalidOutputException>(() => Speak(faulty.SpeechDecoder)).Stage);

        (float[] Samples, SynthesisStage? Recovered) Speak(SpeechDecoder speechDecoder)
        {
            using var noise = new NoiseSource(2);
            return speechDecoder.MakeValid(
                noise,
                (speaker, checks) =>
                    checks.Read(
                        speaker.SpeakText(tokens, clean.Voice.S3Gen, noise, checks, cancellationToken: Cancel),
                        SynthesisStage.Watermark
                    )
            );
        }
    }

    [Fact]
    public void A_stream_that_fails_after_some_chunks_continues_with_the_plain_operations_without_a_seam()
    {
        using var clean = new TinySpeechDecoder("tiny");
        var tokens = clean.Tokens(1, 80);
        var (poison, cut) = (tokens[60], 55);
        Assert.DoesNotContain(poison, tokens[..60]);
        Assert.DoesNotContain(poison, clean.Voice.S3Gen.SpeechTokens);
        using var faulty = new TinySpeechDecoder("tiny", Poisoned("flow.input_embedding.weight", poison));
        var expected = Chunks(clean.SpeechDecoder, out var recovered);
        Assert.Null(recovered);
        Assert.Equal(expected, Chunks(Healing(faulty, clean), out recovered));
        Assert.Equal(SynthesisStage.S3Gen, recovered);
        Assert.Equal(SynthesisStage.S3Gen, Assert.Throws<InvalidOutputException>(() => Chunks(faulty.SpeechDecoder, out _)).Stage);

        List<float[]> Chunks(SpeechDecoder speechDecoder, out SynthesisStage? stage)
        {
            using var assembler = new ChunkAssembler(
                clean.Config,
                speechDecoder,
                clean.Watermarker,
                clean.Voice.S3Gen,
                seed: 4,
                new() { LeftContext = 20 }
            );
            List<float[]> chunks =
            [
                assembler.Next(tokens[..40], last: false, Cancel),
                assembler.Next(tokens[..cut], last: false, Cancel),
                assembler.Next(tokens[..70], last: false, Cancel),
                assembler.Next(tokens, last: true, Cancel),
            ];
            stage = assembler.Recovered;
            Assert.NotEmpty(chunks[0]);
            return chunks;
        }
    }

    [Fact]
    public void A_conversion_that_a_network_fails_at_is_made_by_the_plain_operations()
    {
        using var clean = new TinySpeechDecoder("tiny");
        using var faulty = new TinySpeechDecoder("tiny", Poisoned("mel2wav.conv_post.bias"));
        var source = FamilyTests.Hum(seconds: 4);
        var (expected, _) = Convert(clean.SpeechDecoder);
        var (samples, recovered) = Convert(Healing(faulty, clean));
        Assert.Equal(expected, samples);
        Assert.Equal([SynthesisStage.HiFT], recovered.Distinct());
        Assert.Throws<InvalidOutputException>(() => Convert(faulty.SpeechDecoder));

        (float[] Samples, IReadOnlyList<SynthesisStage> Recovered) Convert(SpeechDecoder speechDecoder)
        {
            using var noise = new NoiseSource(2);
            var windows = new ConversionConfig(WindowTokens: 60, SearchTokens: 15, ContextTokens: 6);
            var converter = new VoiceConverter(speechDecoder, clean.SpeechTokenizer, source, clean.Voice.S3Gen, noise, windows);
            var all = new List<float>();
            while (!converter.IsOver)
            {
                all.AddRange(converter.Next(cancellationToken: Cancel));
            }

            return ([.. all], converter.Recovered);
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_sentence_that_T3_fails_at_ends_with_an_error_and_the_next_is_spoken(bool chunked)
    {
        using var checkpoint = PoisonedCheckpoint.AtLetterZ();
        using var counted = new Counter();
        await using var engine = Engine(checkpoint, counted);
        ChunkOptions? chunks = chunked ? new() { FirstTokens = 4 } : null;
        var request = new SpeechRequest
        {
            Pieces = [Text, "A lazy one.", Text],
            Sampling = new() { Seed = 1 },
            Chunks = chunks,
        };
        var events = await engine.Submit(request, Cancel).Events.ToListAsync(Cancel);
        var failure = Assert.Single(events.OfType<PieceFailed>());
        Assert.Equal((1, SynthesisStage.T3), (failure.Piece, Assert.IsType<InvalidOutputException>(failure.Error).Stage));
        Assert.Equal([0, 2], events.OfType<AudioChunk>().Where(chunk => chunk.EndsPiece).Select(chunk => chunk.Piece));
        Assert.All(events.OfType<AudioChunk>().SelectMany(chunk => chunk.Samples.ToArray()), sample => Assert.True(float.IsFinite(sample)));
        Assert.Equal(["1 T3 failed"], counted.Outputs);
    }

    [Fact]
    public async Task A_stream_whose_flow_fails_after_some_chunks_ends_that_sentence_and_goes_on_to_the_next()
    {
        // Of all tokens of three sentences one that the second comes to late, and the others never.
        string[] pieces = [Text, "Some words that take their time until the very end of what they say.", Text];
        List<IReadOnlyList<int>> spoken;
        IReadOnlyList<int> prompt;
        using (var clean = ChatterboxModel.Load(TinyCheckpoint.Folder, new() { Device = "cpu" }))
        {
            prompt = clean.BuiltInVoice!.S3Gen.SpeechTokens;
            spoken = [.. pieces.Select((piece, i) => clean.Synthesize(piece, clean.BuiltInVoice!, new() { Seed = 1 + i }).SpeechTokens)];
        }

        var other = spoken[0].Concat(spoken[2]).Concat(prompt).ToHashSet();
        var poison = spoken[1].Last(token => !other.Contains(token) && spoken[1].Count(same => same == token) == 1);
        using var checkpoint = PoisonedCheckpoint.AtSpeechToken(poison);
        using var counted = new Counter();
        await using var engine = Engine(checkpoint, counted);
        var chunks = new ChunkOptions { FirstTokens = 4, MostTokens = 4 };
        var request = new SpeechRequest
        {
            Pieces = pieces,
            Sampling = new() { Seed = 1 },
            Chunks = chunks,
        };
        var events = await engine.Submit(request, Cancel).Events.ToListAsync(Cancel);
        var failed = events.FindIndex(happened => happened is PieceFailed);
        Assert.Equal(SynthesisStage.S3Gen, Assert.IsType<InvalidOutputException>(((PieceFailed)events[failed]).Error).Stage);
        var (before, last) = ((AudioChunk)events[failed - 1], (AudioChunk)events[^1]);
        Assert.Equal((1, false), (before.Piece, before.EndsPiece)); // in the middle of the second sentence
        Assert.Equal((2, true), (last.Piece, last.EndsPiece));
        Assert.All(events.OfType<AudioChunk>().SelectMany(chunk => chunk.Samples.ToArray()), sample => Assert.True(float.IsFinite(sample)));
        Assert.Equal(["1 S3Gen failed"], counted.Outputs);
    }

    [Fact]
    public async Task Speech_that_had_to_be_made_again_says_so()
    {
        using var counted = new Counter();
        await using var engine = Engine(() => new RecoveringModel(), counted);
        var events = await engine.Submit(new SpeechRequest { Pieces = ["one"] }, Cancel).Events.ToListAsync(Cancel);
        var chunk = Assert.IsType<AudioChunk>(events.Single());
        Assert.Contains("HiFT", chunk.Repair);
        Assert.Equal(["1 HiFT recovered"], counted.Outputs);
    }

    private static SpeechDecoder Healing(TinySpeechDecoder faulty, TinySpeechDecoder clean) =>
        new(clean.Config, faulty.SpeechDecoder.S3Gen, faulty.SpeechDecoder.HiFT) { Plain = () => clean.SpeechDecoder };

    /// <summary>A tensor, or a row of it, that is no number.</summary>
    private static Dictionary<string, Func<Tensor, Tensor>> Poisoned(string tensor, int? row = null) =>
        new()
        {
            [tensor] = stored =>
            {
                var poisoned = stored.clone();
                (row is { } index ? poisoned.narrow(0, index, 1) : poisoned).Fill(double.NaN);
                return poisoned;
            },
        };

    private static SpeechEngine Engine(PoisonedCheckpoint checkpoint, Counter counter) =>
        Engine(() => ChatterboxModel.Load(checkpoint.Folder, new() { Device = "cpu" }), counter);

    private static SpeechEngine Engine(Func<ISpeechModel> load, Counter counter) =>
        new([load], new(), NullLogger<SpeechEngine>.Instance, metrics: new(counter));

    /// <summary>Counts invalid outputs as a collector of metrics does.</summary>
    private sealed class Counter : IMeterFactory
    {
        private readonly List<Meter> _meters = [];
        private readonly MeterListener _listener = new();
        private readonly List<string> _outputs = [];

        public Counter()
        {
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "chatterbox.invalid_outputs" && instrument.Meter.Scope == this)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<long>(
                (_, value, tags, _) =>
                {
                    lock (_outputs)
                    {
                        _outputs.Add($"{value} {string.Join(' ', tags.ToArray().Select(tag => tag.Value))}");
                    }
                }
            );
            _listener.Start();
        }

        public IReadOnlyList<string> Outputs
        {
            get
            {
                lock (_outputs)
                {
                    return [.. _outputs];
                }
            }
        }

        public Meter Create(MeterOptions options)
        {
            options.Scope = this;
            _meters.Add(new(options));
            return _meters[^1];
        }

        public void Dispose()
        {
            _listener.Dispose();
            _meters.ForEach(meter => meter.Dispose());
        }
    }

    /// <summary>A model whose vocoder's fast path always fails.</summary>
    private sealed class RecoveringModel : ISpeechModel
    {
        public Voice? BuiltInVoice { get; } = new(new([], []), new([], [], []));

        public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks = null, string? language = null) =>
            FakeUtterance.Whole(_ => new((float[])[0.5f, 0.5f], 1, [1], ReachedLimit: false) { Recovered = [SynthesisStage.HiFT] });

        public void Advance(IReadOnlyList<IUtterance> utterances) => throw new NotSupportedException();

        public void VoiceChunks(IReadOnlyList<DueChunk> due) => FakeUtterance.Voice(due);

        public Voice CreateVoice(AudioClip recording) => throw new NotSupportedException();

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null) => throw new NotSupportedException();

        public double? DetectWatermark(AudioClip recording) => throw new NotSupportedException();

        public void Dispose() { }
    }
}
