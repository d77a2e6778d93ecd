using Chatterbox.S3Gen;

namespace Chatterbox.Streaming;

/// <summary>Audio on its way from speech tokens through the stages, so that audio of several utterances passes the flow together and no
/// stage of one waits for the host to read another. <see cref="Begin"/>, <see cref="Continue"/> and <see cref="Read"/> follow each
/// other, each once, on one lane.</summary>
internal interface IStagedAudio : IDisposable
{
    /// <summary>The flow between <see cref="Begin"/> and <see cref="Continue"/>.</summary>
    FlowMatching Flow { get; }

    /// <summary>Runs the encoder.</summary>
    /// <returns>What the flow is to do; null where too few tokens are known.</returns>
    /// <exception cref="RequestException">There are no tokens.</exception>
    /// <exception cref="VoiceException">The voice does not fit this model.</exception>
    FlowPass? Begin();

    /// <summary>Runs vocoder and watermark.</summary>
    /// <param name="mel">What the flow made, [1, frames, bands]; null where it had nothing to do.</param>
    void Continue(Tensor? mel);

    /// <summary>Waits for the samples; makes them once more with plain operations where a stage's output is not finite.</summary>
    /// <param name="cancellationToken">Checked before each step of the flow of a second attempt.</param>
    /// <returns>Samples at 24 kHz, with the watermark; none if too few tokens are known.</returns>
    /// <exception cref="InvalidOutputException">The second attempt has failed too.</exception>
    float[] Read(CancellationToken cancellationToken);

    /// <summary>All of it, alone.</summary>
    /// <param name="progress">Receives the share of the flow that is done.</param>
    /// <param name="cancellationToken">Checked before each step of the flow.</param>
    float[] Run(IProgress<double>? progress, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var pass = Begin();
        Continue(pass is null ? null : Flow.Integrate(pass, progress, cancellationToken));
        return Read(cancellationToken);
    }
}
