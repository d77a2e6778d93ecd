using System.Buffers;
using System.Buffers.Binary;

namespace Chatterbox.Audio;

/// <summary>Writes samples one by one: 16-bit PCM or G.711, with or without a WAV header.</summary>
/// <remarks>A WAV header declares 0xFFFFFFFF bytes until the file is complete, as programs that write to a pipe do.</remarks>
/// <param name="format">What is written.</param>
internal sealed class PcmEncoder(AudioFormat format) : IAudioEncoder
{
    private const int HeaderBytes = 44;

    private bool _isBegun;

    private int SampleBytes => format.Codec == AudioCodec.Pcm16 ? Pcm16.BytesPerSample : 1;

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output)
    {
        if (!_isBegun && format.Container == AudioContainer.Wav)
        {
            WriteHeader(output);
        }

        _isBegun = true;
        var bytes = output.GetSpan(Math.Max(1, samples.Length * SampleBytes));
        if (format.Codec == AudioCodec.Pcm16)
        {
            Pcm16.Encode(samples, bytes);
        }
        else
        {
            for (var i = 0; i < samples.Length; i++)
            {
                var sample = Pcm16.FromFloat(samples[i]);
                bytes[i] = format.Codec == AudioCodec.MuLaw ? G711.ToMuLaw(sample) : G711.ToALaw(sample);
            }
        }

        output.Advance(samples.Length * SampleBytes);
    }

    /// <inheritdoc/>
    public void Finish(IBufferWriter<byte> output) { }

    /// <inheritdoc/>
    public void Dispose() { }

    /// <inheritdoc/>
    public void Complete(Span<byte> head, long fileBytes)
    {
        if (format.Container == AudioContainer.Wav)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(head[4..], (uint)Math.Min(uint.MaxValue, fileBytes - 8));
            BinaryPrimitives.WriteUInt32LittleEndian(head[(HeaderBytes - 4)..], (uint)Math.Min(uint.MaxValue, fileBytes - HeaderBytes));
        }
    }

    private void WriteHeader(IBufferWriter<byte> output)
    {
        var header = output.GetSpan(HeaderBytes);
        "RIFF"u8.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], uint.MaxValue);
        "WAVEfmt "u8.CopyTo(header[8..]);
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], 16);
        BinaryPrimitives.WriteUInt16LittleEndian(
            header[20..],
            format.Codec switch
            {
                AudioCodec.MuLaw => WavReader.MuLaw,
                AudioCodec.ALaw => WavReader.ALaw,
                _ => WavReader.Pcm,
            }
        );
        BinaryPrimitives.WriteUInt16LittleEndian(header[22..], 1);
        BinaryPrimitives.WriteInt32LittleEndian(header[24..], format.SampleRate);
        BinaryPrimitives.WriteInt32LittleEndian(header[28..], format.SampleRate * SampleBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header[32..], (ushort)SampleBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header[34..], (ushort)(8 * SampleBytes));
        "data"u8.CopyTo(header[36..]);
        BinaryPrimitives.WriteUInt32LittleEndian(header[40..], uint.MaxValue);
        output.Advance(HeaderBytes);
    }
}
