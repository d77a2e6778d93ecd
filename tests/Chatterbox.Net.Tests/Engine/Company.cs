using Chatterbox.Audio;
using Chatterbox.Engine;

namespace Chatterbox.Tests.Engine;

/// <summary>Random requests, answered alone and then all at once, some late and some cancelled: each is answered alike, to the
/// bit.</summary>
internal static class Company
{
    private static readonly string[] Words =
    [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "a",
        "lazy",
        "dog",
        "and",
        "sleeps",
        "in",
        "rain",
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Compares the answers.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="requests">The requests.</param>
    /// <param name="random">Draws arrivals and cancellations.</param>
    /// <param name="mostDelay">Latest arrival, milliseconds.</param>
    public static async Task AnswersAsAloneAsync(ISpeechEngine engine, IReadOnlyList<SpeechRequest> requests, Random random, int mostDelay)
    {
        var alone = new List<List<SpeechEvent>>();
        foreach (var request in requests)
        {
            alone.Add(await engine.Submit(request, Cancel).Events.ToListAsync(Cancel));
        }

        var company = await Task.WhenAll(
            requests.Select(
                (request, i) =>
                    AskAsync(request, leavesAfter: i % 10 == 9 ? random.Next(1, 3) : int.MaxValue, comesAfter: random.Next(0, mostDelay))
            )
        );
        foreach (var (i, (events, hasLeft)) in company.Index())
        {
            Assert.True(hasLeft || events.Count == alone[i].Count, $"request {i}: {events.Count} events, alone {alone[i].Count}");
            foreach (var (expected, actual) in alone[i].Zip(events))
            {
                AssertSame(i, expected, actual);
            }
        }

        Assert.Contains(alone.SelectMany(events => events).OfType<AudioChunk>(), chunk => !chunk.EndsPiece);

        async Task<(List<SpeechEvent> Events, bool HasLeft)> AskAsync(SpeechRequest request, int leavesAfter, int comesAfter)
        {
            await Task.Delay(comesAfter, Cancel);
            using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
            var events = new List<SpeechEvent>();
            await foreach (var happened in engine.Submit(request, leaving.Token).Events.WithCancellation(Cancel))
            {
                events.Add(happened);
                if (events.Count == leavesAfter)
                {
                    await leaving.CancelAsync();
                    return (events, true);
                }
            }

            return (events, false);
        }
    }

    /// <summary>Requests of random lengths, voices, languages, settings, seeds and chunks.</summary>
    /// <param name="model">Answers them.</param>
    /// <param name="random">Draws them.</param>
    /// <param name="count">How many.</param>
    /// <param name="mostTokens">Most speech tokens of a piece.</param>
    public static List<SpeechRequest> Draw(ChatterboxModel model, Random random, int count, int mostTokens) =>
        [.. Enumerable.Range(0, count).Select(i => Request(model, random, i, mostTokens))];

    private static SpeechRequest Request(ChatterboxModel model, Random random, int number, int mostTokens)
    {
        string Text() => string.Join(' ', Enumerable.Range(0, random.Next(1, 5)).Select(_ => Words[random.Next(Words.Length)])) + ".";
        T? Maybe<T>(Func<T> draw)
            where T : struct => random.Next(2) == 0 ? null : draw();
        var inBlocks = model.Name.Contains("flash", StringComparison.Ordinal);
        var guides = !model.Name.Contains("turbo", StringComparison.Ordinal) && model.Name != "nano";
        return new()
        {
            Pieces = [.. Enumerable.Range(0, random.Next(1, 3)).Select(_ => Text())],
            Voice = Changed(model.BuiltInVoice!, random.Next(3)),
            Language = model.Languages.Count > 1 ? new[] { "en", "fr", "de" }[random.Next(3)] : null,
            Sampling = new()
            {
                Seed = random.NextInt64(),
                MaxSpeechTokens = random.Next(1, mostTokens),
                Temperature = Maybe(() => random.Next(3) == 0 ? 0 : 0.3 + random.NextDouble()),
                TopP = inBlocks ? null : Maybe(() => 0.5 + (0.5 * random.NextDouble())),
                RepetitionPenalty = inBlocks ? null : Maybe(() => 1 + random.NextDouble()),
                CfgWeight = guides ? Maybe(() => random.Next(3) == 0 ? 0 : random.NextDouble()) : null,
                Exaggeration = guides ? Maybe(random.NextDouble) : null,
                MinP = guides && !inBlocks ? Maybe(() => 0.2 * random.NextDouble()) : null,
                TopK = guides ? null : Maybe(() => random.Next(1, 100)),
                BlockSize = inBlocks ? Maybe(() => random.Next(4, 20)) : null,
                BlockSteps = inBlocks ? Maybe(() => random.Next(1, 8)) : null,
                PositionTemperature = inBlocks ? Maybe(() => 5 * random.NextDouble()) : null,
            },
            Chunks = random.Next(3) switch
            {
                0 => null,
                1 => new(),
                _ => new()
                {
                    FirstTokens = random.Next(2, 8),
                    MostTokens = random.Next(8, 16),
                    LeftContext = random.Next(0, 20),
                },
            },
            Client = $"client {number % 7}",
        };
    }

    private static Voice Changed(Voice voice, int how) =>
        voice with
        {
            T3 = voice.T3 with { SpeakerEmbedding = [.. voice.T3.SpeakerEmbedding.Select(number => number * (1 + (0.3f * how)))] },
        };

    private static void AssertSame(int request, SpeechEvent expected, SpeechEvent actual)
    {
        if (expected is not AudioChunk chunk)
        {
            Assert.Equal(((PieceFailed)expected).Error.Message, Assert.IsType<PieceFailed>(actual).Error.Message);
            return;
        }

        var other = Assert.IsType<AudioChunk>(actual);
        Assert.True(
            chunk.Samples.Span.SequenceEqual(other.Samples.ToArray()),
            $"request {request}, piece {chunk.Piece}: {Difference(chunk, other)}"
        );
        Assert.Equal(
            (chunk.Piece, chunk.EndsPiece, chunk.TextTokens, chunk.SpeechTokens, chunk.Repair),
            (other.Piece, other.EndsPiece, other.TextTokens, other.SpeechTokens, other.Repair)
        );

        static string Difference(AudioChunk expected, AudioChunk actual)
        {
            var common = expected.Samples.Span.CommonPrefixLength(actual.Samples.ToArray());
            var most = expected.Samples.ToArray().Zip(actual.Samples.ToArray(), (a, b) => Math.Abs(a - b)).DefaultIfEmpty().Max();
            return $"alone {expected.Samples.Length} samples of {expected.SpeechTokens} tokens, in company {actual.Samples.Length} of "
                + $"{actual.SpeechTokens}, "
                + $"other from sample {common} on by up to {most:0.0e0}, alone at most "
                + $"{expected.Samples.ToArray().DefaultIfEmpty().Max(MathF.Abs):0.0e0}";
        }
    }
}

/// <summary>A model as another device would have it: so many utterances in a step, voiced meanwhile or not. One of its steps can be made to
/// fail.</summary>
/// <param name="model">The model.</param>
internal sealed class ShapedModel(ChatterboxModel model) : ISpeechModel
{
    /// <inheritdoc/>
    public int StepWidth { get; init; } = model.StepWidth;

    /// <inheritdoc/>
    public int VoiceWidth { get; init; } = model.VoiceWidth;

    /// <inheritdoc/>
    public bool VoicesDuringSteps { get; init; } = model.VoicesDuringSteps;

    /// <summary>Most utterances that a step has advanced.</summary>
    public int MostRows { get; private set; }

    /// <summary>Pieces of a step fail, and with them those in company, while it is set.</summary>
    public Func<int, bool> StepFails { get; set; } = _ => false;

    public Voice? BuiltInVoice => model.BuiltInVoice;

    public int MaxUtterances => model.MaxUtterances;

    public void Prepare() => model.Prepare();

    public void CheckDevice() => model.CheckDevice();

    public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks, string? language) =>
        model.Begin(text, voice, sampling, chunks, language);

    public void Advance(IReadOnlyList<IUtterance> utterances)
    {
        Assert.InRange(utterances.Count, 1, StepWidth);
        MostRows = Math.Max(MostRows, utterances.Count);
        if (StepFails(utterances.Count))
        {
            throw new InvalidOperationException("a kernel failed");
        }

        model.Advance(utterances);
    }

    public void VoiceChunks(IReadOnlyList<DueChunk> due) => model.VoiceChunks(due);

    public Voice CreateVoice(AudioClip recording) => model.CreateVoice(recording);

    public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed) => model.BeginConversion(source, target, seed);

    public double? DetectWatermark(AudioClip recording) => model.DetectWatermark(recording);

    public void Dispose() => model.Dispose();
}
