package jdk.nashorn.api.scripting;

/** Stands where Java before 15 had a class of this name: Maxwell 1.22 names it, though it runs no script here. */
public abstract class ScriptObjectMirror implements javax.script.Bindings {}
