namespace Chatterbox.Audio;

/// <summary>An encoder that is not of this process failed or was removed.</summary>
internal sealed class EncoderException(string message, Exception? inner = null) : Exception(message, inner);
