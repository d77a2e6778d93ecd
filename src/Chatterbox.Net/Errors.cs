namespace Chatterbox;

/// <summary>Base of every error that this library raises on purpose. The message says what was wrong, what was
/// expected and how to put it right; the derived type says who can: the files, the voice, the request, or later.</summary>
public abstract class ChatterboxException : Exception
{
    private protected ChatterboxException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>A checkpoint file or folder is missing, damaged, or of another model: fix the files.</summary>
public sealed class CheckpointException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public CheckpointException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>A recording cannot be read or cannot become a voice: choose another recording.</summary>
public sealed class VoiceException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public VoiceException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
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

/// <summary>The model cannot be had now (no network, no room, too busy): try again later or choose another model.</summary>
public class UnavailableException : ChatterboxException
{
    /// <summary>Creates the error.</summary>
    public UnavailableException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>The engine's queue is full: try again after <see cref="RetryAfter"/>.</summary>
public sealed class EngineBusyException : UnavailableException
{
    /// <summary>Creates the error.</summary>
    public EngineBusyException(string message, TimeSpan retryAfter)
        : base(message) => RetryAfter = retryAfter;

    /// <summary>When a place is likely to be free.</summary>
    public TimeSpan RetryAfter { get; }
}
