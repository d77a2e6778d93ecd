using System.Buffers;

namespace Chatterbox.Audio.Mp3;

/// <summary>Writes frames: header, side information, scale factors and lines of one or two granules, and zeros up to the frame's
/// length.</summary>
/// <remarks>Source: ISO/IEC 11172-3, 2.4.1; ISO/IEC 13818-3, 2.4.1.</remarks>
/// <param name="header">The header of every frame.</param>
internal sealed class Mp3FrameWriter(Mp3Header header)
{
    private readonly byte[] _frame = new byte[Mp3Frame.MostBytes];
    private Mp3Header _header = header;
    private int _sideBits;
    private int _dataBits;
    private int _granule;
    private int _remainder; // of the frame's length, in parts of a byte: those that must be made up for by a longer frame

    /// <summary>Bits that the next granule may take: of two, the first has half, the second what is left.</summary>
    public int BitsLeft =>
        _granule == 0 && _header.Granules == 2
            ? 8 * (FrameBytes - Mp3Header.Bytes - _header.SideBytes) / 2
            : (8 * (FrameBytes - Mp3Header.Bytes - _header.SideBytes)) - (_granule == 0 ? 0 : _dataBits - FirstDataBit);

    private int FirstDataBit => 8 * (Mp3Header.Bytes + _header.SideBytes);

    private int FrameBytes => NextHeader().FrameBytes;

    /// <summary>Adds a granule, and writes the frame when it is complete.</summary>
    /// <param name="granule">The granule.</param>
    /// <param name="lines">Its lines, for their signs.</param>
    /// <param name="output">Where the frame goes.</param>
    public void Add(Granule granule, ReadOnlySpan<float> lines, IBufferWriter<byte> output)
    {
        if (_granule == 0)
        {
            Begin();
        }

        WriteSide(granule);
        WriteData(granule, lines);
        if (++_granule == _header.Granules)
        {
            output.Write(_frame.AsSpan(0, _header.FrameBytes));
            _granule = 0;
        }
    }

    // A frame has a whole number of bytes: every now and then one more makes up for what is cut off.
    private Mp3Header NextHeader()
    {
        var perFrame = (long)_header.Samples / 8 * _header.BitRate % _header.SampleRate;
        return _granule == 0 ? _header with { IsPadded = _remainder + perFrame >= _header.SampleRate } : _header;
    }

    private void Begin()
    {
        _header = NextHeader();
        _remainder = (int)((_remainder + ((long)_header.Samples / 8 * _header.BitRate % _header.SampleRate)) % _header.SampleRate);
        _frame.AsSpan().Clear();
        _header.Write(_frame);
        _dataBits = FirstDataBit;

        // The side information begins with where the data begins: here, so zero; then come bits for other uses.
        _sideBits = (8 * Mp3Header.Bytes) + (_header.Generation == MpegGeneration.Mpeg1 ? 9 + 5 + 4 : 8 + 1);
    }

    private void WriteSide(Granule granule)
    {
        var isMpeg1 = _header.Generation == MpegGeneration.Mpeg1;
        Side(granule.Bits, 12);
        Side(granule.PairLines / 2, 9);
        Side(granule.GlobalGain, 8);
        Side(granule.ScaleFactorCode, isMpeg1 ? 4 : 9);
        Side(granule.Type == BlockType.Long ? 0 : 1, 1);
        if (granule.Type == BlockType.Long)
        {
            Side(granule.Tables[0], 5);
            Side(granule.Tables[1], 5);
            Side(granule.Tables[2], 5);
            Side(granule.RegionBands.First, 4);
            Side(granule.RegionBands.Second, 3);
        }
        else
        {
            Side((int)granule.Type, 2);
            Side(0, 1); // all bands have the same windows
            Side(granule.Tables[0], 5);
            Side(granule.Tables[1], 5);
            Side(0, 9); // no window is louder than the others
        }

        Side(0, isMpeg1 ? 2 : 1); // no preset factors (MPEG-1), steps of half a power of two
        Side(granule.QuadrupleTable, 1);
    }

    private void WriteData(Granule granule, ReadOnlySpan<float> lines)
    {
        for (var band = 0; band < ScaleFactorBands.Count; band++)
        {
            Data((uint)granule.ScaleFactors[band], granule.ScaleFactorBits[band]);
        }

        var values = granule.Values;
        for (var i = 0; i < granule.PairLines; i += 2)
        {
            var region =
                i < granule.Regions.Second ? 0
                : i < granule.Regions.Third ? 1
                : 2;
            if (HuffmanTables.Pairs[granule.Tables[region]] is { } table)
            {
                WritePair(table, values[i], values[i + 1], lines[i..]);
            }
        }

        var quadruples = HuffmanTables.Quadruples[granule.QuadrupleTable];
        for (var i = granule.PairLines; i < granule.PairLines + granule.QuadrupleLines; i += 4)
        {
            var index = (values[i] << 3) | (values[i + 1] << 2) | (values[i + 2] << 1) | values[i + 3];
            Data(quadruples.Codes[index], quadruples.Lengths[index]);
            for (var j = i; j < i + 4; j++)
            {
                WriteSign(values[j], lines[j]);
            }
        }
    }

    private void WritePair(HuffmanTable table, int x, int y, ReadOnlySpan<float> lines)
    {
        var index = (Math.Min(x, table.Size - 1) * table.Size) + Math.Min(y, table.Size - 1);
        Data(table.Codes[index], table.Lengths[index]);
        WriteExtra(table, x);
        WriteSign(x, lines[0]);
        WriteExtra(table, y);
        WriteSign(y, lines[1]);
    }

    private void WriteExtra(HuffmanTable table, int value)
    {
        if (table.ExtraBits > 0 && value >= table.Size - 1)
        {
            Data((uint)(value - table.Size + 1), table.ExtraBits);
        }
    }

    private void WriteSign(int value, float line)
    {
        if (value > 0)
        {
            Data(line < 0 ? 1u : 0, 1);
        }
    }

    private void Side(int value, int count) => Put((uint)value, count, ref _sideBits);

    private void Data(uint value, int count) => Put(value, count, ref _dataBits);

    private void Put(uint value, int count, ref int position)
    {
        for (var bit = count - 1; bit >= 0; bit--, position++)
        {
            _frame[position >> 3] |= (byte)(((value >> bit) & 1) << (7 - (position & 7)));
        }
    }
}
