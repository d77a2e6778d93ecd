using Chatterbox.Engine;
using Chatterbox.S3Gen;
using Chatterbox.Watermark;

namespace Chatterbox.Streaming;

/// <summary>Speech tokens of several utterances to their next chunks of watermarked audio.</summary>
/// <remarks>On a GPU chunks share the passes of the flow, and run through the other stages at the same time, on some lanes. On a CPU,
/// which one chunk keeps busy, they follow each other. Speech that is all in its first chunk is generated at once, as
/// <see cref="ChatterboxModel.Synthesize"/> generates it, to the sample.</remarks>
/// <param name="speechDecoder">Speech tokens to samples.</param>
/// <param name="watermarker">Marks the samples.</param>
/// <param name="width">Most chunks that are voiced together.</param>
/// <param name="lanes">Where the stages run.</param>
internal sealed class VoiceBatch(SpeechDecoder speechDecoder, PerthWatermarker watermarker, int width, VoiceLanes lanes)
{
    /// <summary>Most chunks that are voiced together.</summary>
    public int Width => width;

    /// <summary>Voices chunks, each of another utterance, and reports each as soon as it is ready.</summary>
    public void Run(IReadOnlyList<DueChunk> due)
    {
        using var mode = inference_mode();
        foreach (var together in due.Chunk(width))
        {
            RunTogether(together);
        }
    }

    /// <summary>All speech tokens of a text to watermarked samples; computed once more with plain operations if a stage fails.</summary>
    /// <param name="speechTokens">The speech, 25 tokens a second.</param>
    /// <param name="voice">The speaker.</param>
    /// <param name="noise">The request's random numbers.</param>
    /// <param name="progress">Receives the part of S3Gen's work that is done.</param>
    /// <param name="marking">Called before the watermark.</param>
    /// <param name="cancellationToken">Checked before each step of the flow.</param>
    /// <returns>Samples at 24 kHz, and the stage that failed in the first attempt, if one did.</returns>
    /// <exception cref="InvalidOutputException">A stage's output is not finite, with plain operations neither.</exception>
    /// <exception cref="RequestException">There are no tokens.</exception>
    /// <exception cref="VoiceException">The voice does not fit the model.</exception>
    public (float[] Samples, SynthesisStage? Recovered) VoiceWhole(
        IReadOnlyList<int> speechTokens,
        S3GenPrompt voice,
        NoiseSource noise,
        IProgress<double>? progress,
        Action marking,
        CancellationToken cancellationToken
    )
    {
        using var whole = new WholeAudio(speechDecoder, watermarker, speechTokens, voice, noise, marking);
        return (((IStagedAudio)whole).Run(progress, cancellationToken), whole.Recovered);
    }

    /// <summary>Takes chunks through the stages together. One that fails is reported, and the others continue.</summary>
    private void RunTogether(DueChunk[] due)
    {
        using var scope = NewDisposeScope();
        var staged = Array.ConvertAll(due, chunk => new Staged(chunk, (Utterance)chunk.Utterance));
        try
        {
            Continue(one =>
            {
                one.Chunk.Cancel.ThrowIfCancellationRequested();
                one.Audio = Open(one.Utterance);
                one.Pass = one.Audio.Begin()?.DetachFromDisposeScope();
            });
            foreach (var sameFlow in staged.Where(one => one is { Error: null, Pass: not null }).GroupBy(one => one.Audio!.Flow))
            {
                Integrate(sameFlow.Key, [.. sameFlow]);
            }

            Continue(one =>
            {
                one.Audio!.Continue(one.Mel);
                one.Samples = one.Audio.Read(one.Chunk.Cancel);
            });
            Array.ForEach(staged, one => one.Report());
        }
        finally
        {
            Array.ForEach(staged, one => one.Dispose());
        }

        void Continue(Action<Staged> work) =>
            lanes.Run(staged.Where(one => one.Error is null), one => one.Utterance.State.Lane, one => one.Try(work));
    }

    private static void Integrate(FlowMatching flow, IReadOnlyList<Staged> staged)
    {
        try
        {
            var cancellationToken = staged.Count == 1 ? staged[0].Chunk.Cancel : CancellationToken.None; // one may not end the others
            foreach (var (mel, one) in flow.Integrate([.. staged.Select(one => one.Pass!)], progress: null, cancellationToken).Zip(staged))
            {
                one.Mel = mel;
            }
        }
        catch (Exception e)
        {
            foreach (var one in staged)
            {
                one.Error = e;
            }
        }
    }

    private IStagedAudio Open(Utterance utterance)
    {
        var (chunk, state) = (utterance.Taken, utterance.State);
        if (chunk.IsInvalid)
        {
            throw new InvalidOutputException(SynthesisStage.T3);
        }

        return chunk is { IsFirst: true, IsLast: true }
            ? new WholeAudio(speechDecoder, watermarker, chunk.SpeechTokens, state.Voice, state.Noise)
            : state.Assembler!.Begin(chunk.SpeechTokens, chunk.IsLast);
    }

    /// <summary>A chunk on its way.</summary>
    private sealed record Staged(DueChunk Chunk, Utterance Utterance) : IDisposable
    {
        /// <summary>Its audio, once it has begun.</summary>
        public IStagedAudio? Audio { get; set; }

        /// <summary>What the flow is to do; null where it has nothing to do.</summary>
        public FlowPass? Pass { get; set; }

        /// <summary>What it made.</summary>
        public Tensor? Mel { get; set; }

        /// <summary>The audio, once it is there.</summary>
        public float[] Samples { get; set; } = [];

        /// <summary>Why there is none.</summary>
        public Exception? Error { get; set; }

        /// <summary>Does a stage's work, or notes why it failed.</summary>
        public void Try(Action<Staged> work)
        {
            try
            {
                work(this);
            }
            catch (Exception e)
            {
                Error = e;
            }
        }

        /// <summary>Reports the audio, or the error.</summary>
        public void Report()
        {
            if (Error is not null)
            {
                Chunk.Fail(Error);
                return;
            }

            Utterance.State.Recovered = Audio is WholeAudio whole ? whole.Recovered : Utterance.State.Assembler!.Recovered;
            Chunk.Voice(_ => new(Samples, Utterance.Taken.IsLast));
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            Pass?.Dispose();
            Audio?.Dispose();
        }
    }
}
