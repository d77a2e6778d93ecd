using System.Runtime.InteropServices;
using Chatterbox.Ops.Cuda;

namespace Chatterbox;

/// <summary>Base of every error that this library raises on purpose. The message has what was wrong, what was
/// expected and how to correct it; the derived type is what to change: the files, the voice, the request, or the time.</summary>
public abstract class ChatterboxException : Exception
{
    private protected ChatterboxException(string message, Exception? inner = null)
        : base(message, inner) { }
}

/// <summary>A checkpoint file or folder is missing, damaged, or of another model: fix the files.</summary>
public sealed class CheckpointException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public CheckpointException(string message, Exception? inner = null)
        : base(message, inner) { }
}

/// <summary>The device gives wrong numbers, and no other way to compute them is right: use another device, or update its
/// software.</summary>
public sealed class SelfCheckException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public SelfCheckException(string message, Exception? inner = null)
        : base(message, inner) { }
}

/// <summary>A recording cannot be read or cannot become a voice: choose another recording.</summary>
public sealed class VoiceException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public VoiceException(string message, Exception? inner = null)
        : base(message, inner) { }
}

/// <summary>The text or a setting of a request cannot be used: change the request.</summary>
public sealed class RequestException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    /// <param name="message">What was wrong, what was expected, how to put it right.</param>
    /// <param name="parameter">Name of the offending setting, for callers that report it by name.</param>
    /// <param name="inner">The cause, if another exception was.</param>
    public RequestException(string message, string? parameter = null, Exception? inner = null)
        : base(message, inner) => Parameter = parameter;

    /// <summary>Name of the offending setting, or null where the error is of the whole request.</summary>
    public string? Parameter { get; }
}

/// <summary>A stage of the model gave values that are not finite numbers, with its plain operations too, so that there is no audio:
/// try another seed or text; if that fails too, the files or the machine are at fault.</summary>
public sealed class InvalidOutputException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    /// <param name="stage">The stage whose output it was.</param>
    public InvalidOutputException(SynthesisStage stage)
        : base(
            $"The model gave no usable audio: the output of {NameOf(stage)} holds values that are not finite numbers, also when it was "
                + "computed once more with plain operations. Try another seed or another text. If every text fails, the model's files are "
                + "damaged (download or convert them again) or this machine computes wrongly (run the service's 'doctor' command)."
        ) => Stage = stage;

    /// <summary>The stage whose output it was.</summary>
    public SynthesisStage Stage { get; }

    private static string NameOf(SynthesisStage stage) =>
        stage switch
        {
            SynthesisStage.T3 => "T3 (text to speech tokens)",
            SynthesisStage.S3Gen => "S3Gen (speech tokens to mel)",
            SynthesisStage.HiFT => "HiFT (mel to samples)",
            _ => "the watermark",
        };
}

/// <summary>The model failed while it generated, for a reason that only the inner exception knows, such as a GPU fault or too little
/// memory: try
/// again; if that fails too, restart the program or load the model on another device.</summary>
public sealed class ModelFailedException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    /// <param name="inner">What failed.</param>
    public ModelFailedException(Exception inner)
        : base(
            $"The model failed: {inner.Message} Try again. If it fails again, restart the program, or load the model on another device.",
            inner
        ) { }

    /// <summary>Runs work of a model; what libtorch and CUDA throw becomes an error of this kind.</summary>
    internal static T Translate<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception e) when (e is ExternalException or CudaException)
        {
            throw new ModelFailedException(e);
        }
    }
}

/// <summary>Audio could not be encoded: choose another format, such as wav or pcm.</summary>
public sealed class EncoderException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public EncoderException(string message, Exception? inner = null)
        : base(message, inner) { }
}

/// <summary>The model is not available now (no network, no memory, too busy): try again later or choose another model.</summary>
public class UnavailableException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public UnavailableException(string message, Exception? inner = null)
        : base(message, inner) { }
}

/// <summary>The engine's queue is full: try again after <see cref="RetryAfter"/>.</summary>
public sealed class EngineBusyException : UnavailableException
{
    /// <summary>Creates the error.</summary>
    public EngineBusyException(string message, TimeSpan retryAfter)
        : base(message) => RetryAfter = retryAfter;

    /// <summary>Time until a place is likely to be free.</summary>
    public TimeSpan RetryAfter { get; }
}
