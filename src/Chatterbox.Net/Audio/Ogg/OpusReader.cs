using System.Buffers.Binary;
using Concentus;
using Concentus.Structs;

namespace Chatterbox.Audio.Ogg;

/// <summary>Reads Ogg Opus files of one or two channels, at 48 kHz.</summary>
/// <remarks>Source: RFC 7845; the codec is Concentus. The header's pre-skip, its gain and the length that the last page declares are kept
/// to.</remarks>
internal static class OpusReader
{
    /// <summary>Rate at which Opus counts samples, Hz.</summary>
    public const int SampleRate = 48_000;

    /// <summary>Most samples of a packet: 120 ms.</summary>
    public const int MostPacketSamples = SampleRate * 120 / 1000;

    private const int ShortestHeader = 19;
    private const double GainSteps = 256; // a decibel

    /// <summary>Whether a file that begins so is an Ogg file, of whatever codec.</summary>
    public static bool Matches(ReadOnlySpan<byte> head) => head.StartsWith(OggPage.Capture);

    /// <inheritdoc cref="RecordingReader"/>
    /// <exception cref="VoiceException">It is damaged or too long.</exception>
    /// <exception cref="NotDecodedHereException">It is of another codec than Opus, or of more than two channels.</exception>
    public static AudioClip Read(Stream stream, RecordingSource source)
    {
        using var packets = new OggPackets(stream, source).Read().GetEnumerator();
        if (!packets.MoveNext() || !packets.Current.Bytes.AsSpan().StartsWith("OpusHead"u8))
        {
            throw new NotDecodedHereException("it is an Ogg file of another codec than Opus");
        }

        var head = packets.Current.Bytes;
        if (head.Length < ShortestHeader || head[8] >> 4 != 0)
        {
            throw source.IsDamaged(
                $"its header is of version {(head.Length > 8 ? head[8] : 0)} with {head.Length} bytes, expected version 1 with "
                    + $"{ShortestHeader}"
            );
        }

        var channels = head[9];
        if (channels is < 1 or > 2 || head[18] != 0)
        {
            throw new NotDecodedHereException($"it is Opus of {channels} channels in mapping family {head[18]}");
        }

        packets.MoveNext(); // OpusTags: who made it
        return Decode(packets, head, channels, source);
    }

    private static AudioClip Decode(IEnumerator<OggPacket> packets, byte[] head, int channels, RecordingSource source)
    {
        // Concentus would otherwise load whatever is called libopus on this computer.
#pragma warning disable CS0618 // the factory would do so
        var decoder = new OpusDecoder(SampleRate, channels);
#pragma warning restore CS0618
        var gain = (float)Math.Pow(10, BinaryPrimitives.ReadInt16LittleEndian(head.AsSpan(16)) / GainSteps / 20);
        var toSkip = (long)BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(10));
        var (collector, position, number) = (source.Collect(SampleRate, channels), 0L, 0);
        var isBegun = false;
        var samples = new float[MostPacketSamples * channels];
        while (packets.MoveNext())
        {
            var packet = packets.Current;
            var count = Decode(decoder, packet.Bytes, samples, number++, source);
            position += count;
            if (!isBegun && packet.Granule >= 0 && !packet.IsLast)
            {
                (isBegun, position) = (true, packet.Granule); // one cut out of a longer stream does not begin at zero
            }

            // The last page's position cuts off what only filled its packet.
            var beyond = packet.IsLast && packet.Granule >= 0 ? (int)Math.Clamp(position - packet.Granule, 0, count) : 0;
            var skipped = (int)Math.Min(toSkip, count - beyond);
            toSkip -= skipped;
            var kept = samples.AsSpan(skipped * channels, (count - beyond - skipped) * channels);
            foreach (ref var sample in kept)
            {
                sample *= gain;
            }

            collector.Add(kept);
        }

        return collector.Finish();
    }

    private static int Decode(IOpusDecoder decoder, byte[] packet, float[] samples, int number, RecordingSource source)
    {
        try
        {
            return decoder.Decode(packet, samples, MostPacketSamples, false);
        }
        catch (Exception e) when (e is OpusException or ArgumentException or IndexOutOfRangeException or ArithmeticException)
        {
            throw source.IsDamaged($"packet {number} is no Opus packet", e);
        }
    }
}
