using Microsoft.Extensions.Logging;

namespace Chatterbox.Engine;

/// <summary>What a model does for a request before it is another's turn: a piece of text, a chunk of one, or a stretch of a recording.</summary>
/// <param name="options">Limits.</param>
/// <param name="logger">Where the engine tells what it does; never the texts.</param>
/// <param name="time">The clock.</param>
/// <param name="metrics">Where the engine measures its work; null measures nothing.</param>
/// <param name="spoke">Told a piece's characters and the time it took.</param>
internal sealed class Turn(EngineOptions options, ILogger logger, TimeProvider time, EngineMetrics? metrics, Action<int, TimeSpan> spoke)
{
    /// <summary>Takes the turn, on the model's thread.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sequence">The request.</param>
    /// <param name="sharers">Streams that take turns on the model, this one included where it is one.</param>
    /// <exception cref="OperationCanceledException">The request has ended.</exception>
    public AudioChunk Take(ISpeechModel model, SpeechSequence sequence, int sharers)
    {
        var voice = sequence.Request.Voice ?? model.BuiltInVoice
            ?? throw new VoiceException("The model has no voice of its own. Send a request with a voice made from a recording.");
        return sequence.Request switch
        {
            SpeechRequest { Chunks: { } chunks } request => SpeakChunk(model, request, chunks with { Sharers = sharers }, voice, sequence),
            SpeechRequest request => SpeakPiece(model, request, voice, sequence),
            ConversionRequest request => Convert(model, request, voice, sequence),
            _ => throw new NotSupportedException($"The engine does not know requests of type {sequence.Request.GetType()}."),
        };
    }

    private AudioChunk SpeakPiece(ISpeechModel model, SpeechRequest request, Voice voice, SpeechSequence sequence)
    {
        var (piece, started) = (sequence.NextPiece, time.GetTimestamp());
        var (text, sampling) = (request.Pieces[piece], request.SamplingOf(piece));
        SpeechResult Synthesize(SamplingOptions options) => model.Synthesize(text, voice, options, request.Language, progress: null, sequence.Ended);
        var (speech, repair) = options.GuardQuality ? QualityGuard.Speak(text, sampling, Synthesize) : (Synthesize(sampling), null);
        Tell(request, piece, repair, speech.UnknownCharacters);
        var taken = time.GetElapsedTime(started);
        spoke(text.Length, taken);
        metrics?.Spoke(speech.Samples.Length, speech.TextTokens, speech.SpeechTokens.Count, taken);
        return new AudioChunk(piece, speech.Samples, EndsPiece: true, speech.TextTokens, speech.SpeechTokens.Count) { Repair = repair, UnknownCharacters = speech.UnknownCharacters };
    }

    private AudioChunk SpeakChunk(ISpeechModel model, SpeechRequest request, ChunkOptions chunks, Voice voice, SpeechSequence sequence)
    {
        var (piece, started) = (sequence.NextPiece, time.GetTimestamp());
        var (text, sampling) = (request.Pieces[piece], request.SamplingOf(piece));
        var work = sequence.Work ??= new(model, options.GuardQuality
            ? model.OpenStream(text, voice, QualityGuard.Limit(text, sampling), chunks with { EndsWhenStuck = true }, request.Language)
            : model.OpenStream(text, voice, sampling, chunks, request.Language));
        var stream = (ISpeechStream)work.Doing;
        var samples = stream.Next(sequence.Ended);
        string? repair = null;
        if (stream.IsOver && options.GuardQuality)
        {
            var kept = QualityGuard.TrimEnd(samples);
            repair = stream.ReachedLimit ? "more speech than the text needs; cut short" : kept.Length < samples.Length ? "silent end trimmed" : null;
            samples = kept;
        }

        work.Taken += time.GetElapsedTime(started);
        work.Samples += samples.Length;
        if (!stream.IsOver)
        {
            return new AudioChunk(piece, samples, EndsPiece: false, TextTokens: 0, SpeechTokens: 0);
        }

        Tell(request, piece, repair, stream.UnknownCharacters);
        spoke(text.Length, work.Taken);
        metrics?.Spoke(work.Samples, stream.TextTokens, stream.SpeechTokens.Count, work.Taken);
        var last = new AudioChunk(piece, samples, EndsPiece: true, stream.TextTokens, stream.SpeechTokens.Count) { Repair = repair, UnknownCharacters = stream.UnknownCharacters };
        sequence.EndWork();
        return last;
    }

    /// <summary>The next stretch of a recording.</summary>
    private AudioChunk Convert(ISpeechModel model, ConversionRequest request, Voice voice, SpeechSequence sequence)
    {
        var started = time.GetTimestamp();
        var work = sequence.Work ??= new(model, model.BeginConversion(request.Recording, voice, request.Seed));
        var conversion = (IVoiceConversion)work.Doing;
        var samples = conversion.ConvertNext(progress: null, sequence.Ended);
        metrics?.Made(samples.Length, time.GetElapsedTime(started));
        return new AudioChunk(Piece: 0, samples, conversion.IsOver, TextTokens: 0, conversion.IsOver ? conversion.SpeechTokens.Count : 0);
    }

    private void Tell(SpeechRequest request, int piece, string? repair, IReadOnlyList<string> unknownCharacters)
    {
        if (repair is not null)
        {
            logger.LogInformation("Piece {Piece} of request {Request}: {Repair}", piece + 1, request.Name, repair);
        }

        if (unknownCharacters.Count > 0)
        {
            logger.LogWarning("Piece {Piece} of request {Request} has characters that the model does not know: {Characters}", piece + 1, request.Name, string.Join(' ', unknownCharacters));
        }
    }
}
