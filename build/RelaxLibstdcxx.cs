using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// Lets TorchSharp's libLibTorchSharp.so load beside a libstdc++ older than that of GCC 13 (GLIBCXX_3.4.32).
/// </summary>
/// <remarks>
/// The library's only use of that version is the import std::ios_base_library_init(), which every translation unit
/// that includes iostream calls once, and which does nothing when the C++ runtime has initialised its streams already;
/// older runtimes do that when they are loaded. So, in the ELF file:
/// the need for GLIBCXX_3.4.32 is marked weak (the loader then accepts its absence), and the import takes the name and
/// version of another function without arguments that is imported anyway: std::chrono::steady_clock::now().
/// The result replaces the file by renaming, so that a hard link into the package cache is left alone. A file without
/// that import (already treated, another platform, a later TorchSharp) is not touched.
/// </remarks>
public sealed class RelaxLibstdcxx : Task
{
    private const string NewVersion = "GLIBCXX_3.4.32";
    private const string NewImport = "_ZSt21ios_base_library_initv";
    private const string Substitute = "_ZNSt6chrono3_V212steady_clock3nowEv";
    private const ushort WeakFlag = 2; // VER_FLG_WEAK
    private const uint DynamicSymbols = 11; // SHT_DYNSYM
    private const uint VersionNeeds = 0x6ffffffe; // SHT_GNU_verneed
    private const uint SymbolVersions = 0x6fffffff; // SHT_GNU_versym

    /// <summary>Full path of libLibTorchSharp.so in an output folder.</summary>
    [Required]
    public string Library { get; set; }

    public override bool Execute()
    {
        var elf = File.ReadAllBytes(Library);
        if (elf.Length < 64 || elf[0] != 0x7f || elf[1] != 'E' || elf[4] != 2 || elf[5] != 1)
        {
            return true; // not a little-endian 64-bit ELF file
        }

        if (!Relax(elf))
        {
            return true;
        }

        var modified = File.GetLastWriteTimeUtc(Library);
        var temporary = Library + "." + Guid.NewGuid().ToString("N") + ".tmp";
        File.WriteAllBytes(temporary, elf);
        File.SetLastWriteTimeUtc(temporary, modified); // an incremental build then sees an unchanged copy
        File.Delete(Library);
        File.Move(temporary, Library);
        Log.LogMessage(MessageImportance.Normal, "{0}: {1} is optional now", Library, NewVersion);
        return true;
    }

    private static bool Relax(byte[] elf)
    {
        var sections = (int)U64(elf, 0x28);
        var sectionSize = U16(elf, 0x3a);
        var sectionCount = U16(elf, 0x3c);
        int symbols = -1,
            symbolCount = 0,
            strings = -1,
            needs = -1,
            needStrings = -1,
            versions = -1;
        for (var i = 0; i < sectionCount; i++)
        {
            var header = sections + (i * sectionSize);
            var offset = (int)U64(elf, header + 0x18);
            var linked = sections + ((int)U32(elf, header + 0x28) * sectionSize);
            switch (U32(elf, header + 4))
            {
                case DynamicSymbols:
                    symbols = offset;
                    symbolCount = (int)(U64(elf, header + 0x20) / 24);
                    strings = (int)U64(elf, linked + 0x18);
                    break;
                case VersionNeeds:
                    needs = offset;
                    needStrings = (int)U64(elf, linked + 0x18);
                    break;
                case SymbolVersions:
                    versions = offset;
                    break;
            }
        }

        if (symbols < 0 || needs < 0 || versions < 0)
        {
            return false;
        }

        int import = -1,
            substitute = -1;
        for (var i = 0; i < symbolCount; i++)
        {
            var name = Name(elf, strings + (int)U32(elf, symbols + (i * 24)));
            if (name == NewImport)
            {
                import = i;
            }
            else if (name == Substitute)
            {
                substitute = i;
            }
        }

        var need = FindVersionNeed(elf, needs, needStrings);
        if (import < 0 || substitute < 0 || need < 0)
        {
            return false;
        }

        Array.Copy(elf, symbols + (substitute * 24), elf, symbols + (import * 24), 4); // st_name
        Array.Copy(elf, versions + (substitute * 2), elf, versions + (import * 2), 2);
        BitConverter.GetBytes((ushort)(U16(elf, need + 4) | WeakFlag)).CopyTo(elf, need + 4); // vna_flags
        return true;
    }

    /// <summary>Offset of the Elf64_Vernaux entry of the new version, or -1.</summary>
    private static int FindVersionNeed(byte[] elf, int needs, int strings)
    {
        for (var file = needs; ; )
        {
            var entry = file + (int)U32(elf, file + 8);
            for (var left = U16(elf, file + 2); left > 0; left--)
            {
                if (Name(elf, strings + (int)U32(elf, entry + 8)) == NewVersion)
                {
                    return entry;
                }

                entry += (int)U32(elf, entry + 12);
            }

            var next = (int)U32(elf, file + 12);
            if (next == 0)
            {
                return -1;
            }

            file += next;
        }
    }

    private static string Name(byte[] elf, int at)
    {
        var end = Array.IndexOf(elf, (byte)0, at);
        return Encoding.ASCII.GetString(elf, at, end - at);
    }

    private static ushort U16(byte[] elf, int at) => BitConverter.ToUInt16(elf, at);

    private static uint U32(byte[] elf, int at) => BitConverter.ToUInt32(elf, at);

    private static ulong U64(byte[] elf, int at) => BitConverter.ToUInt64(elf, at);
}
