namespace Chatterbox.T3;

/// <summary>A decoder whose sequences are continued with plain operations where its own give logits that are not finite: after the
/// speech tokens so far, and with the random numbers where these left them.</summary>
/// <param name="decoder">The decoder.</param>
/// <param name="plain">Continues the sequences; made when it is first needed.</param>
/// <param name="config">The variant.</param>
internal sealed class RecoveringT3Decoder(IT3Decoder decoder, Lazy<PlainT3Decoder> plain, T3Config config) : IT3Decoder
{
    /// <inheritdoc/>
    public int Capacity => decoder.Capacity;

    /// <inheritdoc/>
    public int Width => decoder.Width;

    /// <inheritdoc/>
    public CacheUse Cache => decoder.Cache;

    /// <inheritdoc/>
    public T3Sequence Start(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise)
    {
        var words = noise.SaveWords();
        var limit = SamplingSettings.Resolve(sampling, config).MaxSpeechTokens;
        return new Sequence(config.StopSpeechToken, limit, decoder.Start(textTokens, voice, sampling, noise), Restart);

        PlainT3Sequence Restart(IReadOnlyList<int> speechTokens)
        {
            noise.RestoreWords(words);
            var sequence = plain.Value.Start(textTokens, voice, sampling, noise);
            plain.Value.Replay(sequence, speechTokens);
            return sequence;
        }
    }

    /// <inheritdoc/>
    public void Step(params ReadOnlySpan<T3Sequence> sequences)
    {
        var recovering = new List<T3Sequence>();
        var fast = new List<T3Sequence>(sequences.Length);
        foreach (Sequence sequence in sequences)
        {
            (sequence.Recovered ? recovering : fast).Add(sequence.Inner);
        }

        decoder.Step([.. fast]);
        foreach (Sequence sequence in sequences)
        {
            if (!sequence.Recovered && sequence.Inner.IsInvalid)
            {
                sequence.Restart();
                recovering.Add(sequence.Inner);
            }
        }

        if (recovering.Count > 0)
        {
            plain.Value.Step([.. recovering]);
        }

        foreach (Sequence sequence in sequences)
        {
            sequence.Take();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        decoder.Dispose();
        if (plain.IsValueCreated)
        {
            plain.Value.Dispose();
        }
    }

    private sealed class Sequence(int stopToken, int limit, T3Sequence inner, Func<IReadOnlyList<int>, PlainT3Sequence> restart)
        : T3Sequence(stopToken, limit)
    {
        /// <summary>The sequence of the decoder that makes the tokens now.</summary>
        public T3Sequence Inner { get; private set; } = inner;

        /// <summary>Continues with plain operations.</summary>
        public void Restart()
        {
            Recovered = true;
            Inner.Dispose();
            Inner = restart(SpeechTokens);
        }

        /// <summary>Takes over the tokens that the last step has brought.</summary>
        public void Take()
        {
            while (SpeechTokens.Count < Inner.SpeechTokens.Count)
            {
                Add(Inner.SpeechTokens[SpeechTokens.Count]);
            }

            if (Inner.IsInvalid)
            {
                Add(SpeechTokenSampler.Invalid);
            }
        }

        /// <inheritdoc/>
        public override void Dispose() => Inner.Dispose();
    }
}
