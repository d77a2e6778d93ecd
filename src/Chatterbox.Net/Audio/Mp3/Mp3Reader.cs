using NLayer;

namespace Chatterbox.Audio.Mp3;

/// <summary>Reads MP3 files (MPEG audio, Layer III).</summary>
/// <remarks>The decoder is NLayer's. What encoders put before and after the recording is cut off as their header (Xing, Info, LAME) says,
/// as ffmpeg does it. Bytes that are no frames, such as tags, are skipped; a frame that cannot be decoded is silent, as long as most
/// can.</remarks>
internal sealed class Mp3Reader
{
    private const int MostBytesBeforeFrames = 1 << 16; // besides tags
    private const int FramesToTrust = 3; // so many in a row are no chance
    private const int MostBytesToTrust = FramesToTrust * Mp3Frame.MostBytes;

    // NLayer applies other scale factor bands at 8 kHz than encoders do.
    private const int LowestRate = 11_025;

    private readonly Stream _stream;
    private readonly RecordingSource _source;
    private readonly byte[] _buffer = new byte[4 * MostBytesToTrust];
    private int _next;
    private int _end;

    private Mp3Reader(Stream stream, RecordingSource source) => (_stream, _source) = (stream, source);

    /// <inheritdoc cref="RecordingReader"/>
    /// <exception cref="VoiceException">It is damaged or too long.</exception>
    /// <exception cref="NotDecodedHereException">It is no MP3, or of a rate that is not decoded here.</exception>
    public static AudioClip Read(Stream stream, RecordingSource source) => new Mp3Reader(stream, source).Read();

    private AudioClip Read()
    {
        SkipTag();
        var first = FindFirst() ?? throw new NotDecodedHereException("no MP3 frames are found where it begins");
        if (first.SampleRate < LowestRate)
        {
            throw new NotDecodedHereException($"it is MP3 at {first.SampleRate} Hz");
        }

        var frame = new Mp3Frame();
        frame.Set(first, _buffer.AsSpan(_next, first.FrameBytes));
        var encoded = Mp3Info.Of(frame);
        var collector = _source.Collect(first.SampleRate, first.Channels);
        if (encoded is not null)
        {
            _next += first.FrameBytes; // the frame itself is silent
            collector.ThrowIfLonger(encoded.Length(first.Samples) ?? 0);
        }

        Decode(frame, first, encoded, collector);
        return collector.Finish();
    }

    private void Decode(Mp3Frame frame, Mp3Header first, Mp3Info? encoded, SampleCollector collector)
    {
        var decoder = new MpegFrameDecoder();
        var samples = new float[2 * 2 * Mp3Header.GranuleSamples];
        var toSkip = encoded is { HasDelay: true } ? encoded.Delay + Mp3Info.DecoderDelay : 0;
        var left = encoded?.Length(first.Samples) ?? long.MaxValue;
        var (frames, failed) = (0, 0);
        while (left > 0 && NextFrame(first) is { } header)
        {
            _source.Cancel.ThrowIfCancellationRequested();
            frame.Set(header, _buffer.AsSpan(_next, header.FrameBytes));
            _next += header.FrameBytes;
            frames++;
            if (!TryDecode(decoder, frame, samples))
            {
                failed++;
                samples.AsSpan().Clear();
            }

            var skipped = Math.Min(toSkip, header.Samples);
            toSkip -= skipped;
            var kept = (int)Math.Min(left, header.Samples - skipped);
            left -= kept;
            collector.Add(samples.AsSpan(skipped * first.Channels, kept * first.Channels));
        }

        if (2 * failed > frames)
        {
            throw _source.IsDamaged($"{failed} of its {frames} frames cannot be decoded");
        }
    }

    // The first frames of a stream may need bits of some that came before it: NLayer then gives nothing.
    private static bool TryDecode(MpegFrameDecoder decoder, Mp3Frame frame, float[] samples)
    {
        try
        {
            return decoder.DecodeFrame(frame, samples.AsSpan()) == frame.Header.Samples * frame.Header.Channels;
        }
        catch (Exception e)
            when (e
                    is InvalidDataException
                        or IndexOutOfRangeException
                        or ArgumentException
                        or ArithmeticException
                        or NullReferenceException
            )
        {
            return false;
        }
    }

    private void SkipTag()
    {
        while (Fill(10) && _buffer.AsSpan(_next).StartsWith("ID3"u8))
        {
            var size = _buffer.AsSpan(_next + 6, 4); // seven bits a byte
            var left = 10L + ((size[0] << 21) | (size[1] << 14) | (size[2] << 7) | size[3]) + ((_buffer[_next + 5] & 0x10) != 0 ? 10 : 0);
            while (left > 0 && Fill(1))
            {
                _source.Cancel.ThrowIfCancellationRequested();
                var skipped = (int)Math.Min(left, _end - _next);
                _next += skipped;
                left -= skipped;
            }
        }
    }

    private Mp3Header? FindFirst()
    {
        for (var skipped = 0; skipped < MostBytesBeforeFrames && Fill(Mp3Header.Bytes); skipped++, _next++)
        {
            if (Mp3Header.Read(_buffer.AsSpan(_next, _end - _next)) is { } header && IsFollowed(header))
            {
                return header;
            }
        }

        return null;
    }

    // A file of one or two frames alone is trusted where it ends with them.
    private bool IsFollowed(Mp3Header header)
    {
        Fill(MostBytesToTrust);
        var at = _next;
        for (var i = 0; i < FramesToTrust; i++)
        {
            var next = Mp3Header.Read(_buffer.AsSpan(at, _end - at));
            if (next is not { } known || !known.IsOfSameStream(header))
            {
                return i > 0 && at == _end;
            }

            at += known.FrameBytes;
            if (at > _end)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The next whole frame, whose bytes are in the buffer; skips what is none, such as tags.</summary>
    private Mp3Header? NextFrame(Mp3Header first)
    {
        for (var isSynchronous = true; Fill(Mp3Header.Bytes); _next++, isSynchronous = false)
        {
            if (
                Mp3Header.Read(_buffer.AsSpan(_next, Mp3Header.Bytes)) is { } header
                && header.IsOfSameStream(first)
                && Fill(header.FrameBytes)
                && (isSynchronous || IsFollowed(header))
            )
            {
                return header;
            }
        }

        return null;
    }

    /// <summary>Reads until so many bytes are there.</summary>
    private bool Fill(int count)
    {
        if (_end - _next < count)
        {
            _buffer.AsSpan(_next, _end - _next).CopyTo(_buffer);
            (_next, _end) = (0, _end - _next);
            _end += _stream.ReadAtLeast(_buffer.AsSpan(_end), Math.Min(count - _end, _buffer.Length - _end), throwOnEndOfStream: false);
        }

        return _end - _next >= count;
    }
}
